"""The two large tables of an index: sample_data and ego_pose, 2.6 M records each for nuScenes trainval."""

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.columns import Columns, Texts, keys_of, repeated_rows, rows_of
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

    Columns of ``numbers``: timestamp (µs), sample, calibration (their rows), is_key, size (height, width), key,
    pose_key (as ``keys_of``).

    Args:
        reader: of the tables.
        sample_rows: row of every sample by its token.
        calibration_rows: row of every calibrated sensor by its token.
    """
    raw = SampleDataColumns()
    links = Columns()
    for batch in reader.batches(SampleData):
        records = [record for record in batch if _usable(reader, record, sample_rows, calibration_rows)]
        raw.tokens.extend([record.token for record in records])
        raw.files.extend([record.filename for record in records])
        raw.numbers.extend(
            key=keys_of([record.token for record in records]),
            pose_key=keys_of([record.ego_pose_token for record in records]),
            timestamp=np.array([record.timestamp for record in records], np.int64),
            sample=np.array([sample_rows[record.sample_token] for record in records], np.int32),
            calibration=np.array([calibration_rows[record.calibrated_sensor_token] for record in records], np.int32),
            is_key=np.array([record.is_key_frame for record in records], np.bool_),
            size=np.array([(record.height or 0, record.width or 0) for record in records], np.int32).reshape(-1, 2),
        )
        links.extend(
            prev=keys_of([record.prev for record in records]),
            next=keys_of([record.next for record in records]),
            file=keys_of([record.filename for record in records]),
        )
    token = raw.tokens.__getitem__
    for link in ("prev", "next"):
        report_dangling(reader, "sample_data", link, links.pop(link), raw.numbers["key"], token)
    same_file = repeated_rows(links.pop("file"))
    report_rows(reader, "sample_data", same_file, token, "another record has this file, too", blocks=False)
    return raw


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


def read_poses(reader: TableReader, raw: SampleDataColumns) -> tuple[Float64[Array, "record 7"], Bool[Array, "record"]]:
    """Ego pose (w, x, y, z, translation) of every record of sample_data, and which records can be kept.

    A record cannot be kept without a pose, or if an earlier one has the same token.
    """
    poses, tokens = Columns(), Texts()
    for batch in reader.batches(EgoPose):
        tokens.extend([record.token for record in batch])
        numbers = chain.from_iterable([(*record.rotation, *record.translation) for record in batch])
        poses.extend(
            key=keys_of([record.token for record in batch]),
            pose=np.fromiter(numbers, np.float64, 7 * len(batch)).reshape(-1, 7),
        )
    key, pose = poses.pop("key"), poses.pop("pose")
    good = can_rotate(pose[:, :4])
    report_rows(reader, "ego_pose", np.flatnonzero(~good), tokens.__getitem__, NO_ROTATION, blocks=True)
    report_repeated(reader, "ego_pose", key, tokens.__getitem__)
    row = rows_of(key, raw.numbers.pop("pose_key"))
    if not len(pose):
        pose, good = np.zeros((1, 7)), np.zeros(1, np.bool_)
    keep = row >= 0
    missing = np.flatnonzero(~keep)
    report_rows(reader, "sample_data", missing, raw.tokens.__getitem__, "ego_pose_token points to no record", True)
    keep &= good[row]
    keep[report_repeated(reader, "sample_data", raw.numbers.pop("key"), raw.tokens.__getitem__)] = False
    return pose[row], keep
