"""The two large tables of an index: sample_data and ego_pose, 2.6 M records each for nuScenes trainval."""

from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.columns import Columns, Texts, keys_of, repeated_rows, rows_by_token, rows_of
from avjepa.data.nuscenes.records import EgoPose, SampleData
from avjepa.data.nuscenes.table_checks import (
    NO_ROTATION,
    can_rotate,
    leaves_root,
    report_dangling,
    report_repeated,
    report_rows,
)
from avjepa.data.nuscenes.tables import TableReader
from avjepa.data.packed_numbers import PackedNumbers


@dataclass(frozen=True)
class SampleDataColumns:
    """The table sample_data, in the order of the table."""

    numbers: Columns = field(default_factory=Columns)
    tokens: Texts = field(default_factory=Texts)
    files: Texts = field(default_factory=Texts)


def read_sample_data(
    reader: TableReader, sample_rows: dict[str, int], calibration_rows: dict[str, int]
) -> SampleDataColumns:
    """Read the table.

    Columns of ``numbers``: timestamp (µs), sample, calibration (their rows), is_key, height, width, key, pose_key (as
    ``keys_of``).

    Args:
        reader: of the tables.
        sample_rows: row of every sample by its token.
        calibration_rows: row of every calibrated sensor by its token.
    """
    raw = SampleDataColumns()
    links = Columns()
    for records in reader.batches(SampleData):
        sample = rows_by_token(sample_rows, map(_SAMPLE, records), len(records))
        calibration = rows_by_token(calibration_rows, map(_CALIBRATION, records), len(records))
        files = list(map(_FILE, records))
        if min(sample.min(initial=0), calibration.min(initial=0)) < 0 or _is_odd(files):
            keep = np.array([_usable(reader, record, sample_rows, calibration_rows) for record in records], np.bool_)
            records, sample, calibration = list(compress(records, keep)), sample[keep], calibration[keep]
            files = list(compress(files, keep))
        count, tokens = len(records), list(map(_TOKEN, records))
        raw.tokens.extend(tokens)
        raw.files.extend(files)
        raw.numbers.extend(
            key=keys_of(tokens, count),
            pose_key=keys_of(map(_POSE, records), count),
            timestamp=np.fromiter(map(_TIMESTAMP, records), np.int64, count),
            sample=sample,
            calibration=calibration,
            is_key=np.fromiter(map(_IS_KEY, records), np.bool_, count),
            height=np.fromiter([record.height or 0 for record in records], np.int32, count),
            width=np.fromiter([record.width or 0 for record in records], np.int32, count),
        )
        links.extend(
            prev=keys_of(map(_PREV, records), count),
            next=keys_of(map(_NEXT, records), count),
            file=keys_of(files, count),
        )
    token = raw.tokens.__getitem__
    for link in ("prev", "next"):
        report_dangling(reader, "sample_data", link, links.pop(link), raw.numbers["key"], token)
    same_file = repeated_rows(links.pop("file"))
    report_rows(reader, "sample_data", same_file, token, "another record has this file, too", blocks=False)
    return raw


_TOKEN, _FILE, _TIMESTAMP, _IS_KEY = map(attrgetter, ("token", "filename", "timestamp", "is_key_frame"))
_SAMPLE, _POSE, _CALIBRATION = map(attrgetter, ("sample_token", "ego_pose_token", "calibrated_sensor_token"))
_PREV, _NEXT = map(attrgetter, ("prev", "next"))


def _is_odd(names: list[str]) -> bool:
    """Whether one of the file names needs a look of its own: it starts with / or ., or has two dots or a zero byte."""
    text = np.frombuffer("\n".join(["", *names]).encode(), np.uint8)
    dot, follows_start = text[1:] == ord("."), text[:-1] == ord("\n")
    doubled = dot & (follows_start | (text[:-1] == ord(".")))
    return bool(doubled.any() or (follows_start & (text[1:] == ord("/"))).any() or not text.all())


def _usable(
    reader: TableReader, record: SampleData, sample_rows: dict[str, int], calibration_rows: dict[str, int]
) -> bool:
    name = record.filename
    if record.sample_token not in sample_rows:
        problem = f"sample_token {record.sample_token!r} points to no record"
    elif record.calibrated_sensor_token not in calibration_rows:
        problem = f"calibrated_sensor_token {record.calibrated_sensor_token!r} points to no record"
    elif (name[0] in "/." or ".." in name or "\0" in name) and leaves_root(name):
        problem = f"the file name {name!r} leaves the data root"
    else:
        return True
    reader.report("sample_data", record.token, problem)
    return False


def read_poses(
    reader: TableReader, raw: SampleDataColumns
) -> tuple[Float64[Array, "pose 7"], Int64[Array, "record"], Bool[Array, "record"]]:
    """All ego poses (w, x, y, z, translation), the pose of every record of sample_data, and which records can be kept.

    A record cannot be kept without a pose, or if an earlier one has the same token.
    """
    poses, token = Columns(), reader.tokens(EgoPose)
    numbers = PackedNumbers(rotation=4, translation=3)
    for batch in reader.batches(EgoPose):
        poses.extend(key=keys_of(map(_TOKEN, batch), len(batch)), pose=numbers(batch))
    key, pose = poses.pop("key"), poses.pop("pose")
    good = can_rotate(pose[:, :4])
    report_rows(reader, "ego_pose", np.flatnonzero(~good), token, NO_ROTATION, blocks=True)
    report_repeated(reader, "ego_pose", key, token)
    row = rows_of(key, raw.numbers.pop("pose_key"))
    if not len(pose):
        pose, good = np.zeros((1, 7)), np.zeros(1, np.bool_)
    keep = row >= 0
    missing = np.flatnonzero(~keep)
    report_rows(reader, "sample_data", missing, raw.tokens.__getitem__, "ego_pose_token points to no record", True)
    keep &= good[row]
    keep[report_repeated(reader, "sample_data", raw.numbers.pop("key"), raw.tokens.__getitem__)] = False
    return pose, row, keep
