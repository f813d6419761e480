"""LiDAR points of a sweep: returns from the vehicle left out, the rest in the BEV frame."""

import numpy as np
from jaxtyping import Float32, Float64

from avjepa.data.arrays import Array
from avjepa.data.files.affine import Affine
from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.files.pointfiles import LIDAR_FILE_FIELDS

CLOSE = 1.0
"""Returns from the vehicle itself lie within this many metres of the sensor, along x and along y (devkit)."""
_POINT = np.dtype((np.void, 4 * len(LIDAR_FILE_FIELDS)))


def without_vehicle(points: Float32[Array, "point 5"]) -> Float32[Array, "kept 5"]:
    """A copy of the points of a sweep, without those on the vehicle itself.

    As the devkit's ``from_file_multisweep``, points with |x| < 1 m and |y| < 1 m *in the sensor frame* are removed.

    Args:
        points: columns ``LIDAR_FILE_FIELDS``, in the sensor frame, one row after the other in memory.
    """
    far: Array = np.abs(points[:, 0]) >= CLOSE
    np.logical_or(far, np.abs(points[:, 1]) >= CLOSE, out=far)
    # numpy copies a run of whole points at once, but the rows of a matrix one by one
    kept: Array = points.view(_POINT)[:, 0][far]
    return kept.view(np.float32).reshape(-1, len(LIDAR_FILE_FIELDS))


def bev_from_lidar_file(bev_from_lidar: Float64[Array, "4 4"], time_lag: float) -> Affine:
    """From points of a LiDAR file (``LIDAR_FILE_FIELDS``) to points in the BEV frame (``LIDAR_FIELDS``).

    Args:
        bev_from_lidar: ego motion between the sweep and the reference time included.
        time_lag: age of the sweep in seconds; negative for a sweep after the reference time.
    """
    columns = np.zeros((len(LIDAR_FILE_FIELDS), len(LIDAR_FIELDS)), np.float32)
    columns[:3, :3] = bev_from_lidar[:3, :3].T
    columns[3, 3] = 1 / 255
    columns[4, 5] = 1.0
    offset = np.zeros(len(LIDAR_FIELDS), np.float32)
    offset[:3] = bev_from_lidar[:3, 3]
    offset[4] = time_lag
    return Affine(columns, offset)
