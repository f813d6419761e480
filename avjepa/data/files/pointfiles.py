"""Point files as nuScenes stores them: LiDAR ``.pcd.bin`` and radar ``.pcd``, read and written."""

import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32

from avjepa.data.arrays import Array
from avjepa.data.files.regular import Memory, content_of_file
from avjepa.errors import BadFileError

PathLike: TypeAlias = str | os.PathLike[str]

LIDAR_FILE_FIELDS = ("x", "y", "z", "intensity", "ring")
"""Columns of a LiDAR file: position in the sensor frame (m), intensity 0-255, beam index."""

RADAR_FILE_FIELDS = (
    "x", "y", "z", "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp", "is_quality_valid", "ambig_state",
    "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms",
)  # fmt: skip
"""Columns of a radar file: position (m, x front, y left) and velocities (m/s) in the sensor frame, states as codes."""

LARGEST_FILE = 1 << 30
"""Bytes of a point file at most: some 50 million points."""
_LARGEST_VALUE = 1e9
"""No sensor measures more in any unit; sums and squares of larger values overflow."""
_LAST_LINE = b"\nDATA "
"""Where the last line of a radar file's header begins."""
_LONGEST_HEADER = 4096  # bytes
_RADAR_SIZES = "4 4 4 1 2 4 4 4 4 4 1 1 1 1 1 1 1 1"
_RADAR_TYPES = "F F F I I F F F F F I I I I I I I I"


def read_lidar(path: PathLike, memory: Memory | None = None) -> Float32[Array, "point 5"]:
    """Points of a ``.pcd.bin`` file.

    Args:
        path: the file.
        memory: where to put them; ``None`` for memory of their own.

    Returns:
        Columns ``LIDAR_FILE_FIELDS``, in the sensor frame (nuScenes: x right, y forward, z up). A file of zero bytes
        is an empty cloud.

    Raises:
        BadFileError: the file is missing, no regular file, too large, truncated, or holds a value that is not finite.
    """
    content = content_of_file(path, LARGEST_FILE, memory)
    record = 4 * len(LIDAR_FILE_FIELDS)
    if len(content) % record:
        raise BadFileError(path, f"truncated: {len(content)} bytes are no whole number of {record}-byte points")
    points = content.view("<f4").reshape(-1, len(LIDAR_FILE_FIELDS))
    _refuse_non_finite(path, points)
    return points


def write_lidar(path: PathLike, points: Float32[Array, "point 5"]) -> None:
    """Write points (columns ``LIDAR_FILE_FIELDS``, sensor frame) as a nuScenes ``.pcd.bin`` file."""
    _write(path, np.ascontiguousarray(points, dtype="<f4").tobytes())


def read_radar(path: PathLike) -> Float32[Array, "point 18"]:
    """Returns of a binary radar ``.pcd`` file, none filtered out.

    The header is parsed, so fields may have any order and any of the format's types. Bytes after the last point are
    ignored. A NaN in the first point marks an empty cloud (the recorder could not write zero points).

    Returns:
        Columns ``RADAR_FILE_FIELDS``, in the sensor frame.

    Raises:
        BadFileError: the file is missing, no regular file, too large, truncated, no binary radar point cloud, or holds
            a value that is not finite.
    """
    content = content_of_file(path, LARGEST_FILE)
    head = content[:_LONGEST_HEADER].tobytes()
    start = head.find(_LAST_LINE)
    end = head.find(b"\n", start + len(_LAST_LINE)) + 1
    if start < 0 or end == 0:
        raise BadFileError(path, "the header of a point cloud file (a line 'DATA binary') is not there")
    try:
        layout = _layout(head[:end])
    except ValueError as error:
        raise BadFileError(path, str(error)) from None
    needed = layout.count * layout.record.itemsize
    if len(content) - end < needed:
        raise BadFileError(
            path, f"truncated: {len(content) - end} bytes after the header, {layout.count} points need {needed}"
        )
    records = np.frombuffer(content, layout.record, layout.count, end)
    points = np.empty((layout.count, len(RADAR_FILE_FIELDS)), np.float32)
    for run, columns in layout.runs:
        points[:, columns] = records[run]
    if layout.count and np.isnan(points[0]).any():
        return points[:0]
    _refuse_non_finite(path, points)
    return points


def write_radar(path: PathLike, points: Float32[Array, "point 18"]) -> None:
    """Write returns (columns ``RADAR_FILE_FIELDS``, sensor frame) in the layout of the original nuScenes files.

    That includes the zero bytes after the last point, without which the devkit refuses a file (the recorder's library
    sized the file as one memory page plus the points, whatever the header's length), and one point of NaN for an
    empty cloud.
    """
    count = max(len(points), 1)
    records = np.zeros(count, radar_record())
    for column, name in enumerate(RADAR_FILE_FIELDS):
        if len(points):
            records[name] = points[:, column]
        elif records.dtype[name].kind == "f":
            records[name] = np.nan
    header = radar_header(count)
    page = 4096
    _write(path, header + records.tobytes() + bytes(page - len(header)))


def radar_record() -> "np.dtype[Any]":
    """One return in a nuScenes radar file: 43 bytes, fields ``RADAR_FILE_FIELDS``."""
    return _record(RADAR_FILE_FIELDS, _RADAR_TYPES.split(), _RADAR_SIZES.split())


def radar_header(count: int) -> bytes:
    """The text at the beginning of a nuScenes radar file of so many returns."""
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
        f"FIELDS {' '.join(RADAR_FILE_FIELDS)}\nSIZE {_RADAR_SIZES}\nTYPE {_RADAR_TYPES}\n"
        f"COUNT {' '.join('1' for _ in RADAR_FILE_FIELDS)}\n"
        f"WIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA binary\n"
    )
    return header.encode()


def _refuse_non_finite(path: PathLike, points: Float32[Array, "point field"]) -> None:
    values = points.reshape(-1)
    if np.dot(values, values) < _LARGEST_VALUE**2:  # not so for NaN; holds for what sensors measure, in one pass
        return
    sound = np.abs(points) < _LARGEST_VALUE
    if not sound.all():
        broken = int((~sound).any(axis=1).sum())
        raise BadFileError(path, f"{broken} of {len(points)} points hold NaN, infinite or absurdly large values")


def _record(names: tuple[str, ...] | list[str], types: list[str], sizes: list[str]) -> "np.dtype[Any]":
    kinds = {"F": "f", "I": "i", "U": "u"}
    return np.dtype([(n, f"<{kinds[t]}{s}") for n, t, s in zip(names, types, sizes, strict=True)])


@dataclass(frozen=True)
class _Layout:
    """What the header of a radar file says.

    Attributes:
        record: type of a point. Fields of one type that lie one after the other, in the order of
            ``RADAR_FILE_FIELDS``, are one field of it, so that they are read at once.
        runs: names of these fields, and the columns of ``RADAR_FILE_FIELDS`` that they hold.
        count: number of points.
    """

    record: "np.dtype[Any]"
    runs: tuple[tuple[str, slice], ...]
    count: int


@lru_cache(maxsize=1024)
def _layout(header: bytes) -> _Layout:
    """The layout that a header describes. Raises ``ValueError`` that says what is wrong with it."""
    lines = (line.split() for line in header.decode("latin-1").splitlines())
    entries = {line[0]: line[1:] for line in lines if line}
    try:
        names, types, sizes = entries["FIELDS"], entries["TYPE"], entries["SIZE"]
        width, height = int(entries["WIDTH"][0]), int(entries["HEIGHT"][0])
        if entries["DATA"] != ["binary"] or set(entries["COUNT"]) != {"1"}:
            raise ValueError("DATA is not 'binary' or a COUNT is not 1")
        record = _record(names, types, sizes)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"the header cannot be understood ({error})") from None
    missing = [name for name in RADAR_FILE_FIELDS if name not in names]
    if missing:
        raise ValueError(f"the header lists no radar field {missing[0]}")
    if width < 0 or height < 0:
        raise ValueError(f"the header says {width} x {height} points")
    runs = [[0]]
    for column, (before, name) in enumerate(pairwise(RADAR_FILE_FIELDS), 1):
        follows = names.index(name) == names.index(before) + 1 and record[name] == record[before]
        runs[-1:] = [[*runs[-1], column]] if follows else [runs[-1], [column]]
    columns = {RADAR_FILE_FIELDS[run[0]]: slice(run[0], run[-1] + 1) for run in runs}
    merged = np.dtype(
        {
            "names": list(columns),
            "formats": [(record[name], (own.stop - own.start,)) for name, own in columns.items()],
            "offsets": [record.fields[name][1] for name in columns] if record.fields else [],
            "itemsize": record.itemsize,
        }
    )
    return _Layout(merged, tuple(columns.items()), width * height)


def _write(path: PathLike, content: bytes) -> None:
    """Write beside and rename, without the flush to disk of ``files.replacing``: a dataset has 100,000s of these."""
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
