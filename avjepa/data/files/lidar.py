"""LiDAR points of a moment: returns from the vehicle left out, sweeps merged."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.affine import merged_affine
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


def lidar_in_bev(
    sweeps: Sequence[Float32[Array, "_ 5"]],
    bev_from_lidar: Float64[Array, "sweep 4 4"],
    time_lags: Float64[Array, "sweep"],
) -> Float[Tensor, "point 6"]:
    """Points of sweeps in the BEV frame, merged in the order of the sweeps.

    Args:
        sweeps: columns ``LIDAR_FILE_FIELDS``, each in the sensor frame of its own time.
        bev_from_lidar: ego motion between each sweep and the reference time included.
        time_lags: age of each sweep in seconds; negative for a sweep after the reference time.

    Returns:
        Columns ``LIDAR_FIELDS``.
    """
    columns = np.zeros((len(sweeps), len(LIDAR_FILE_FIELDS), len(LIDAR_FIELDS)), np.float32)
    columns[:, :3, :3] = bev_from_lidar[:, :3, :3].transpose(0, 2, 1)
    columns[:, 3, 3] = 1 / 255
    columns[:, 4, 5] = 1.0
    offsets = np.zeros((len(sweeps), len(LIDAR_FIELDS)), np.float32)
    offsets[:, :3] = bev_from_lidar[:, :3, 3]
    offsets[:, 4] = time_lags
    return merged_affine(sweeps, columns, offsets)
