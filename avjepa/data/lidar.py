"""LiDAR points of a sweep in the BEV frame."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array

CLOSE = 1.0
"""Returns from the vehicle itself lie within this many metres of the sensor, along x and along y (devkit)."""


def lidar_in_bev(
    points: Float32[Array, "point 5"], bev_from_lidar: Float64[Tensor, "4 4"], time_lag: float
) -> Float[Tensor, "kept 6"]:
    """Points of one sweep in the BEV frame, without those on the vehicle itself.

    As the devkit's ``from_file_multisweep``, points with |x| < 1 m and |y| < 1 m *in the sensor frame* are removed.

    Args:
        points: columns ``LIDAR_FILE_FIELDS``, in the sensor frame.
        bev_from_lidar: ego motion between the sweep and the reference time included.
        time_lag: age of the sweep in seconds; negative for a sweep after the reference time.

    Returns:
        Columns ``LIDAR_FIELDS``.
    """
    far = (np.abs(points[:, :2]) >= CLOSE).any(axis=1)
    raw = torch.from_numpy(points[far])
    result = raw.new_empty(len(raw), 6)
    rotation, origin = bev_from_lidar[:3, :3].float(), bev_from_lidar[:3, 3].float()
    torch.addmm(origin, raw[:, :3], rotation.T, out=result[:, :3])
    result[:, 3] = raw[:, 3] / 255
    result[:, 4] = time_lag
    result[:, 5] = raw[:, 4]
    return result
