"""Point files as nuScenes and its kin store them: LiDAR ``.pcd.bin`` and ``.pcd``, radar ``.pcd``; read and written."""

import os
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8

from avjepa.data.arrays import Array
from avjepa.data.files.pcd import is_pcd, read_header, read_points
from avjepa.data.files.radar_fields import RADAR_FILE_FIELDS
from avjepa.data.files.regular import Memory, content_of_file
from avjepa.data.files.relative_radar import Motion, at_rest, is_relative, with_compensated_velocity
from avjepa.errors import BadFileError

PathLike: TypeAlias = str | os.PathLike[str]

LIDAR_FILE_FIELDS = ("x", "y", "z", "intensity", "ring")
"""Columns of a LiDAR file: position in the sensor frame (m), intensity 0-255, beam index."""

LARGEST_FILE = 1 << 30
"""Bytes of a point file at most: some 50 million points."""
_LARGEST_VALUE = 1e9
"""No sensor measures more in any unit; sums and squares of larger values overflow."""
_RADAR_SIZES = "4 4 4 1 2 4 4 4 4 4 1 1 1 1 1 1 1 1"
_RADAR_TYPES = "F F F I I F F F F F I I I I I I I I"


def read_lidar(path: PathLike, memory: Memory | None = None) -> Float32[Array, "point 5"]:
    """Points of a file of nuScenes (``.pcd.bin``) or of the PCD format; its content says which.

    Of a PCD file, fields x, y and z are needed, intensity and ring are 0 where there are none, and points without
    a place (NaN) are left out.

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
    if is_pcd(content):
        points = _lidar_of_pcd(path, content)
    elif len(content) % record:
        raise BadFileError(path, f"truncated: {len(content)} bytes are no whole number of {record}-byte points")
    else:
        points = content.view("<f4").reshape(-1, len(LIDAR_FILE_FIELDS))
    _refuse_non_finite(path, points)
    return points


def _lidar_of_pcd(path: PathLike, content: UInt8[Array, "byte"]) -> Float32[Array, "point 5"]:
    header = read_header(path, content)
    if missing := [name for name in "xyz" if name not in header.names]:
        raise BadFileError(path, f"the header lists no field {missing[0]}")
    records = read_points(path, content, header)
    points = np.zeros((header.count, len(LIDAR_FILE_FIELDS)), np.float32)
    for column, name in enumerate(LIDAR_FILE_FIELDS):
        if name in header.names:
            points[:, column] = records[name]
    placed: Array = points[~np.isnan(points[:, :3]).any(1)]
    return placed


def write_lidar(path: PathLike, points: Float32[Array, "point 5"]) -> None:
    """Write points (columns ``LIDAR_FILE_FIELDS``, sensor frame) as a nuScenes ``.pcd.bin`` file."""
    _write(path, np.ascontiguousarray(points, dtype="<f4").tobytes())


def read_radar(path: PathLike, motion: Motion = at_rest) -> Float32[Array, "point 18"]:
    """Returns of a radar ``.pcd`` file, none filtered out.

    The header is parsed, so fields may have any order and any of the format's types. Bytes after the last point are
    ignored. A NaN in the first point marks an empty cloud (the recorder could not write zero points).

    Args:
        path: the file.
        motion: velocity of the sensor over ground, asked for where the file's velocities are relative to it.

    Returns:
        Columns ``RADAR_FILE_FIELDS``, in the sensor frame.

    Raises:
        BadFileError: the file is missing, no regular file, too large, truncated, no radar point cloud, or holds a value
            that is not finite.
    """
    content = content_of_file(path, LARGEST_FILE)
    header = read_header(path, content)
    if is_relative(header.names):
        points = with_compensated_velocity(read_points(path, content, header), motion)
    elif missing := [name for name in RADAR_FILE_FIELDS if name not in header.names]:
        raise BadFileError(path, f"the header lists no radar field {missing[0]}")
    else:
        records = read_points(path, content, header)
        points = np.empty((header.count, len(RADAR_FILE_FIELDS)), np.float32)
        merged, runs = _runs(header.record)
        for run, columns in runs:
            points[:, columns] = records.view(merged)[run]
    if len(points) and np.isnan(points[0]).any():
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
    kinds = zip(RADAR_FILE_FIELDS, _RADAR_TYPES.split(), _RADAR_SIZES.split(), strict=True)
    return np.dtype([(name, f"<{kind.lower()}{size}") for name, kind, size in kinds])


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


@lru_cache(maxsize=64)
def _runs(record: "np.dtype[Any]") -> tuple["np.dtype[Any]", tuple[tuple[str, slice], ...]]:
    """How the fields of a radar file are read at once that lie one after the other, in the order of our columns.

    Returns:
        The type of a point in which fields of one type that do so are one field, and the names of these fields with
        the columns of ``RADAR_FILE_FIELDS`` that they hold.
    """
    names = record.names or ()
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
    return merged, tuple(columns.items())


def _write(path: PathLike, content: bytes) -> None:
    """Write beside and rename, without the flush to disk of ``files.replacing``: a dataset has 100,000s of these."""
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
