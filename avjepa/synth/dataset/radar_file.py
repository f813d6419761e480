"""The bytes of a synthetic radar sweep."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avjepa.data.files.pointfiles import radar_header, radar_record

RADAR_RECORD = radar_record()
"""One return."""

_TRAILING_BYTES = 3726


def radar_file(records: NDArray[Any]) -> bytes:
    """The bytes of a nuScenes radar file: text header, records, and the zeros that its readers expect at the end.

    A cycle without returns holds one record at NaN, as nuScenes marks an empty cloud.
    """
    if len(records) == 0:
        records = np.zeros(1, RADAR_RECORD)
        records["x"] = records["y"] = records["z"] = np.nan
    return radar_header(len(records)) + records.astype(RADAR_RECORD).tobytes() + bytes(_TRAILING_BYTES)
