"""What is wrong between records: links to nowhere, repeated tokens, file names, camera matrices, poses that jump."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.columns import keys_of, missing_rows, repeated_rows
from avjepa.data.nuscenes.tables import TableReader

_LISTED = 100  # records with one and the same problem
_FASTEST = 100.0  # m/s, of a vehicle
_ROWS_AT_A_TIME = 1 << 16
_JUMP = 10.0  # metres that a pose may be off at any speed


def report_rows(
    reader: TableReader,
    table: str,
    rows: Sequence[int] | Array,
    token: Callable[[int], str],
    problem: str,
    blocks: bool,
) -> None:
    """Hand on that several records have the same problem; beyond a hundred only their number."""
    for row in rows[:_LISTED]:
        reader.report(table, token(int(row)), problem, blocks)
    if len(rows) > _LISTED:
        reader.report(table, f"and {len(rows) - _LISTED} more", problem, blocks)


def report_dangling(
    reader: TableReader,
    table: str,
    link: str,
    wanted: Int64[Array, "record"],
    keys: Int64[Array, "target"],
    token: Callable[[int], str],
) -> None:
    """Links that the devkit follows and this package does not: they block nothing here, but break its commands."""
    known = np.concatenate((keys, keys_of(reader.left_out, len(reader.left_out))))
    report_rows(reader, table, missing_rows(known, wanted), token, f"{link} points to no record", blocks=False)


def report_repeated(
    reader: TableReader, table: str, keys: Int64[Array, "record"], token: Callable[[int], str]
) -> Int64[Array, "repeated"]:
    """Rows whose token an earlier record has already; they are problems."""
    rows = repeated_rows(keys)
    report_rows(reader, table, rows, token, "another record has this token, too", blocks=True)
    return rows


def leaves_root(name: str) -> bool:
    """Whether a file name of a table is anything but a path below the data root."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name


def camera_matrix_problem(matrix: list[list[float]], is_camera: bool) -> str:
    """What is wrong with ``camera_intrinsic``; nothing for a sensor that is no camera and has none."""
    if not matrix and not is_camera:
        return ""
    if len(matrix) != 3 or any(len(row) != 3 for row in matrix):
        return "camera_intrinsic is no matrix of 3 rows of 3 numbers"
    if is_camera and min(matrix[0][0], matrix[1][1]) <= 0:
        return "camera_intrinsic has a focal length that is not positive"
    return ""


def jumps(
    pose: Float64[Array, "record 7"], timestamp: Int64[Array, "record"], group: Int64[Array, "record"]
) -> Iterator[tuple[int, float]]:
    """Records, in order of time within their group, that no vehicle reaches in time, and the metres to them."""

    def found() -> Iterator[tuple[int, float]]:
        for start in range(0, len(pose), _ROWS_AT_A_TIME):
            own = slice(start, start + _ROWS_AT_A_TIME + 1)
            distance = np.linalg.norm(np.diff(pose[own, 4:], axis=0), axis=1)
            allowed = np.diff(timestamp[own]) * 1e-6 * _FASTEST + _JUMP
            for row in np.flatnonzero((distance > allowed) & (np.diff(group[own]) == 0)):
                yield start + int(row) + 1, float(distance[row])

    return islice(found(), _LISTED)


def can_rotate(wxyz: Float64[Array, "pose 4"]) -> Bool[Array, "pose"]:
    """Which quaternions can be scaled to unit length."""
    norm = np.linalg.norm(wxyz, axis=1)
    result: Array = (norm > 1e-6) & (norm < 1e6)
    return result


NO_ROTATION = "the rotation is no unit quaternion, so this is no pose"
