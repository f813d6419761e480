"""Radar returns of a moment: filters on the sensor's states, merging of sweeps."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.fields import RADAR_FIELDS
from avjepa.data.pointfiles import RADAR_FILE_FIELDS

_COLUMN = {name: column for column, name in enumerate(RADAR_FILE_FIELDS)}
_STATES = RADAR_FIELDS[RADAR_FIELDS.index("dyn_prop") :]
_STATE_COLUMNS = [_COLUMN[name] for name in _STATES]


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
    points: Float32[Array, "point 18"], bev_from_radar: Float64[Tensor, "4 4"], time_lag: float
) -> Float[Tensor, "point 16"]:
    """Returns of one sweep in the BEV frame.

    Positions and compensated velocities are brought into the BEV frame; each return is then moved by its velocity for
    the time since its sweep, to where it would be at the reference time.

    Args:
        points: columns ``RADAR_FILE_FIELDS``, in the sensor frame.
        bev_from_radar: ego motion between the sweep and the reference time included.
        time_lag: age of the sweep in seconds.

    Returns:
        Columns ``RADAR_FIELDS``.
    """
    raw = torch.from_numpy(points)
    rotation, origin = bev_from_radar[:3, :3].float(), bev_from_radar[:3, 3].float()
    velocity = raw[:, [_COLUMN["vx_comp"], _COLUMN["vy_comp"]]] @ rotation[:2, :2].T
    position = raw[:, :3] @ rotation.T + origin
    position[:, :2] += velocity * time_lag
    return torch.cat(
        (
            position,
            torch.full_like(position[:, :1], time_lag),
            raw[:, _COLUMN["rcs"], None],
            velocity,
            raw[:, _STATE_COLUMNS],
        ),
        dim=1,
    )
