"""Points of a LiDAR sweep."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from avjepa.data.argoverse2.feather import read_columns
from avjepa.data.arrays import Array
from avjepa.data.files.pointfiles import LIDAR_FILE_FIELDS

_COLUMNS = {"x": float, "y": float, "z": float, "intensity": int, "laser_number": int}


def read_sweep(path: Path) -> Float32[Array, "point 5"]:
    """Points of both LiDARs, in the ego frame at the file's time, to which they are compensated.

    Returns:
        Columns ``LIDAR_FILE_FIELDS``: the beams of the second LiDAR are numbered on behind those of the first.

    Raises:
        BadFileError: the file cannot be read, lacks a column, or holds values that are not finite.
    """
    columns = read_columns(path, _COLUMNS)
    points = np.empty((len(columns["x"]), len(LIDAR_FILE_FIELDS)), np.float32)
    for place, name in enumerate(_COLUMNS):
        points[:, place] = columns[name]
    return points
