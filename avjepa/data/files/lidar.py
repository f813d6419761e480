"""LiDAR points of a sweep in the BEV frame."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.files.pointfiles import LIDAR_FILE_FIELDS

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
    far = (np.abs(points[:, 0]) >= CLOSE) | (np.abs(points[:, 1]) >= CLOSE)
    # One product writes all columns: several times as fast as filling them one after the other.
    columns = torch.zeros(len(LIDAR_FILE_FIELDS), len(LIDAR_FIELDS))
    columns[:3, :3] = bev_from_lidar[:3, :3].T
    columns[3, 3] = 1 / 255
    columns[4, 5] = 1.0
    offset = torch.zeros(len(LIDAR_FIELDS))
    offset[:3] = bev_from_lidar[:3, 3]
    offset[4] = time_lag
    return torch.addmm(offset, torch.from_numpy(points.compress(far, axis=0)), columns)
