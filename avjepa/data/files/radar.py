"""Radar returns of a moment: filters on the sensor's states, merging of sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.affine import merged_affine
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS

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


def radar_in_bev(
    sweeps: Sequence[Float32[Array, "_ 18"]],
    bev_from_radar: Float64[Array, "sweep 4 4"],
    time_lags: Float64[Array, "sweep"],
) -> Float[Tensor, "radar_return 16"]:
    """Returns of sweeps in the BEV frame, merged in the order of the sweeps.

    Positions and compensated velocities are brought into the BEV frame; each return is then moved by its velocity for
    the time since its sweep, to where it would be at the reference time.

    Args:
        sweeps: columns ``RADAR_FILE_FIELDS``, each in the sensor frame of its own time.
        bev_from_radar: ego motion between each sweep and the reference time included.
        time_lags: age of each sweep in seconds.

    Returns:
        Columns ``RADAR_FIELDS``.
    """
    rotations = bev_from_radar[:, :3, :3].transpose(0, 2, 1)
    columns = np.repeat(_SAME_FIELDS[None], len(sweeps), 0)
    columns[:, :3, :3] = rotations
    columns[:, _VELOCITY, _BEV_VELOCITY] = rotations[:, :2, :2]
    columns[:, _VELOCITY, :2] = rotations[:, :2, :2] * time_lags[:, None, None]
    offsets = np.zeros((len(sweeps), len(RADAR_FIELDS)), np.float32)
    offsets[:, :3] = bev_from_radar[:, :3, 3]
    offsets[:, RADAR_FIELDS.index("time_lag")] = time_lags
    return merged_affine(sweeps, columns, offsets)
