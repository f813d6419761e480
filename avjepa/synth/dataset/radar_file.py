"""The file format of nuScenes radar sweeps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORD = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("dyn_prop", "i1"),
        ("id", "<i2"),
        ("rcs", "<f4"),
        ("vx", "<f4"),
        ("vy", "<f4"),
        ("vx_comp", "<f4"),
        ("vy_comp", "<f4"),
        ("is_quality_valid", "i1"),
        ("ambig_state", "i1"),
        ("x_rms", "i1"),
        ("y_rms", "i1"),
        ("invalid_state", "i1"),
        ("pdh0", "i1"),
        ("vx_rms", "i1"),
        ("vy_rms", "i1"),
    ]
)
"""One return: 43 bytes, 18 fields in the order of the nuScenes radar files."""

_TRAILING_BYTES = 3726


def radar_file(records: NDArray[Any]) -> bytes:
    """The bytes of a nuScenes radar file: text header, records, and the zeros that its readers expect at the end.

    A cycle without returns holds one record at NaN, as nuScenes marks an empty cloud.
    """
    if len(records) == 0:
        records = np.zeros(1, RECORD)
        records["x"] = records["y"] = records["z"] = np.nan
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
        f"FIELDS {' '.join(RECORD.names or ())}\n"
        "SIZE 4 4 4 1 2 4 4 4 4 4 1 1 1 1 1 1 1 1\nTYPE F F F I I F F F F F I I I I I I I I\n"
        "COUNT 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n"
        f"WIDTH {len(records)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(records)}\nDATA binary\n"
    )
    return header.encode("ascii") + records.astype(RECORD).tobytes() + bytes(_TRAILING_BYTES)
