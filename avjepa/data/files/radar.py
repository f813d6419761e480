"""Radar returns of a sweep: filters on the sensor's states, the rest in the BEV frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from avjepa.data.arrays import Array
from avjepa.data.files.affine import Affine
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.files.radar_fields import RADAR_FILE_FIELDS

_COLUMN = {name: column for column, name in enumerate(RADAR_FILE_FIELDS)}
_VELOCITY = slice(_COLUMN["vx_comp"], _COLUMN["vy_comp"] + 1)
_BEV_VELOCITY = slice(RADAR_FIELDS.index("vx_comp"), RADAR_FIELDS.index("vy_comp") + 1)
_SAME_FIELDS = np.array([[ours == theirs for ours in RADAR_FIELDS] for theirs in RADAR_FILE_FIELDS], np.float32)


@dataclass(frozen=True)
class RadarFilter:
    """Which returns to keep by the codes that the sensor gave them; ``None`` keeps every code.

    Args:
        invalid_states: values of ``invalid_state`` to keep.
        ambiguity_states: values of ``ambig_state`` to keep.
        dynamic_properties: values of ``dyn_prop`` to keep.
    """

    invalid_states: tuple[int, ...] | None = None
    ambiguity_states: tuple[int, ...] | None = None
    dynamic_properties: tuple[int, ...] | None = None

    def keeps(self, points: Float32[Array, "point 18"]) -> Bool[Array, "point"]:
        """Which returns (columns ``RADAR_FILE_FIELDS``) pass."""
        keep = np.ones(len(points), np.bool_)
        for name, states in (
            ("invalid_state", self.invalid_states),
            ("ambig_state", self.ambiguity_states),
            ("dyn_prop", self.dynamic_properties),
        ):
            if states is not None:
                keep &= np.isin(points[:, _COLUMN[name]], states)
        return keep


KEEP_ALL_RETURNS = RadarFilter()
DEVKIT_RADAR_FILTER = RadarFilter((0,), (3,), (0, 1, 2, 3, 4, 5, 6))
"""The devkit's default, meant for pictures (nuscenes-devkit #508): it drops about half of the returns."""
CRN_RADAR_FILTER = RadarFilter((0, 4, 8, 9, 10, 11, 12, 15, 16, 17), (3,), None)
"""All states that the sensor calls valid (CRN, arXiv:2304.00670, its data preparation)."""


def bev_from_radar_file(bev_from_radar: Float64[Array, "4 4"], time_lag: float) -> Affine:
    """From returns of a radar file (``RADAR_FILE_FIELDS``) to returns in the BEV frame (``RADAR_FIELDS``).

    Positions and compensated velocities are brought into the BEV frame; each return is then moved by its velocity for
    the time since its sweep, to where it would be at the reference time.

    Args:
        bev_from_radar: ego motion between the sweep and the reference time included.
        time_lag: age of the sweep in seconds.
    """
    rotation = bev_from_radar[:3, :3].T
    columns = _SAME_FIELDS.copy()
    columns[:3, :3] = rotation
    columns[_VELOCITY, _BEV_VELOCITY] = rotation[:2, :2]
    columns[_VELOCITY, :2] = rotation[:2, :2] * time_lag
    offset = np.zeros(len(RADAR_FIELDS), np.float32)
    offset[:3] = bev_from_radar[:3, 3]
    offset[RADAR_FIELDS.index("time_lag")] = time_lag
    return Affine(columns, offset)
