"""From the nuScenes tables to the sorted arrays of ``DatasetIndex``. Never opens the annotation or instance table."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.nuscenes.cache import Cached
from avjepa.data.nuscenes.splits import official_splits
from avjepa.data.nuscenes.tables import OnTableProblem, Record, TableProblem, records, table_name, token_key

INDEX_TABLES = ("scene", "log", "sample", "sensor", "calibrated_sensor", "ego_pose", "sample_data")
"""The tables that the index is made from."""


@dataclass(frozen=True)
class _Tables:
    folder: Path
    on_problem: OnTableProblem

    def records(self, table: str, *needed: str) -> Iterator[Record]:
        return records(self.folder, table, self.on_problem, *needed)

    def report(self, table: str, token: object, problem: str) -> None:
        self.on_problem(TableProblem(table_name(self.folder, table), str(token), problem))

    def linked(self, table: str, record: Record, link: str, rows: dict[str, int]) -> int | None:
        """The row that a token of the record points to; ``None`` and a problem where there is none."""
        row = rows.get(record[link])
        if row is None:
            self.report(table, record["token"], f"{link} {record[link]!r} points to no record")
        return row


@dataclass(frozen=True)
class _SampleData:
    """The table sample_data in compact columns, as read: 2.6 M rows for nuScenes trainval."""

    pose_key: "array[int]" = field(default_factory=lambda: array("Q"))
    tokens: bytearray = field(default_factory=bytearray)
    token_end: "array[int]" = field(default_factory=lambda: array("q"))
    files: bytearray = field(default_factory=bytearray)
    file_end: "array[int]" = field(default_factory=lambda: array("q"))
    timestamp: "array[int]" = field(default_factory=lambda: array("q"))
    calibration: "array[int]" = field(default_factory=lambda: array("i"))
    sample: "array[int]" = field(default_factory=lambda: array("i"))
    is_key: bytearray = field(default_factory=bytearray)
    size: "array[int]" = field(default_factory=lambda: array("i"))


def build_index(folder: Path, sensors: SensorChannels, on_problem: OnTableProblem) -> Cached:
    """Read the tables. A record with a problem is left out, if ``on_problem`` returns at all.

    The first LiDAR of ``sensors`` makes the moments.
    """
    tables = _Tables(folder, on_problem)
    scenes, scene_rows = _scenes(tables)
    sample_arrays, sample_rows = _samples(tables, scene_rows)
    channels, calibration_arrays, calibration_rows = _calibrations(tables, sensors)
    raw = _sample_data(tables, sample_rows, calibration_rows)
    pose, has_pose = _poses(tables, raw)

    sample, calibration = np.array(raw.sample, np.int32), np.array(raw.calibration, np.int32)
    scene = sample_arrays["sample_scene"][sample]
    channel = calibration_arrays["calibration_channel"][calibration]
    timestamp = np.array(raw.timestamp, np.int64)
    order = np.lexsort((timestamp, scene, channel))
    order = order[has_pose[order]]
    group = channel[order].astype(np.int64) * len(scenes) + scene[order]
    file_end = np.array(raw.file_end, np.int64)
    token_end = np.array(raw.token_end, np.int64)
    arrays = {
        **sample_arrays,
        **calibration_arrays,
        "group_start": np.searchsorted(group, np.arange(len(channels) * len(scenes) + 1)).astype(np.int64),
        "record_timestamp": timestamp[order],
        "record_pose": pose[order],
        "record_calibration": calibration[order],
        "record_sample": sample[order],
        "record_is_key": np.array(raw.is_key, np.bool_)[order],
        "record_size": np.array(raw.size, np.int32).reshape(-1, 2)[order],
        "record_file_start": np.concatenate(([0], file_end))[:-1][order],
        "record_file_end": file_end[order],
        "file_bytes": np.frombuffer(bytes(raw.files), np.uint8),
    }
    moment_record = _moments(arrays, channels, sensors, channel[order], scene[order])
    tokens = []
    for record in moment_record:
        if arrays["record_is_key"][record]:
            tokens.append(arrays["sample_token"][arrays["record_sample"][record]].tobytes().rstrip(b"\0"))
        else:
            row = order[record]
            tokens.append(bytes(raw.tokens[token_end[row - 1] if row else 0 : token_end[row]]))
    arrays |= {"moment_record": moment_record, "moment_token": fixed_width(tokens)}
    splits = official_splits(folder.name)
    present = {scene["name"] for scene in scenes}
    info = {
        "channels": channels,
        "scenes": scenes,
        "splits": {split: [name for name in names if name in present] for split, names in splits.items()},
    }
    return Cached(arrays, info)


def fixed_width(texts: list[bytes]) -> UInt8[Array, "text byte"]:
    """Texts as rows of bytes, padded with zeros: numpy's fixed-width strings in a type that the cache can hold."""
    packed = np.array(texts or [b"-"], dtype=bytes)
    return packed.view(np.uint8).reshape(len(packed), -1)[: len(texts)]


def _moments(
    arrays: dict[str, Array], channels: list[str], sensors: SensorChannels, channel: Array, scene: Array
) -> Array:
    """Records that samples are made from: every sweep of the first LiDAR; for keyframes without one, another record.

    Sorted by scene and time.
    """
    lidar = next((channels.index(name) for name in sensors.lidar[:1] if name in channels), -1)
    keyframes = np.flatnonzero(arrays["record_is_key"])
    # Records are sorted by channel, so the first one of a sample is of the first channel that it has.
    _, first = np.unique(arrays["record_sample"][keyframes], return_index=True)
    first = keyframes[first]
    moments = np.concatenate((np.flatnonzero(channel == lidar), first[channel[first] != lidar]))
    result: Array = moments[np.lexsort((arrays["record_timestamp"][moments], scene[moments]))].astype(np.int64)
    return result


def _scenes(tables: _Tables) -> tuple[list[dict[str, str]], dict[str, int]]:
    locations = {record["token"]: record["location"] for record in tables.records("log", "location")}
    scenes: list[dict[str, str]] = []
    rows: dict[str, int] = {}
    for record in tables.records("scene", "name", "log_token"):
        if record["log_token"] not in locations:
            tables.report("scene", record["token"], f"log_token {record['log_token']!r} points to no record")
            continue
        rows[record["token"]] = len(scenes)
        location = locations[record["log_token"]]
        scenes.append({"token": record["token"], "name": record["name"], "location": location})
    return scenes, rows


def _samples(tables: _Tables, scene_rows: dict[str, int]) -> tuple[dict[str, Array], dict[str, int]]:
    found: list[tuple[int, int, str]] = []
    for record in tables.records("sample", "timestamp", "scene_token"):
        scene = tables.linked("sample", record, "scene_token", scene_rows)
        if scene is not None:
            found.append((scene, int(record["timestamp"]), record["token"]))
    found.sort()
    arrays: dict[str, Array] = {
        "sample_token": fixed_width([token.encode() for _, _, token in found]),
        "sample_timestamp": np.array([timestamp for _, timestamp, _ in found], np.int64),
        "sample_scene": np.array([scene for scene, _, _ in found], np.int32),
    }
    return arrays, {token: row for row, (_, _, token) in enumerate(found)}


def _calibrations(tables: _Tables, sensors: SensorChannels) -> tuple[list[str], dict[str, Array], dict[str, int]]:
    channel_of = {record["token"]: record["channel"] for record in tables.records("sensor", "channel")}
    rows: dict[str, int] = {}
    kept: list[Record] = []
    for record in tables.records("calibrated_sensor", "sensor_token", "rotation", "translation", "camera_intrinsic"):
        if record["sensor_token"] not in channel_of:
            token = record["sensor_token"]
            tables.report("calibrated_sensor", record["token"], f"sensor_token {token!r} points to no record")
        elif not _is_pose(record):
            tables.report("calibrated_sensor", record["token"], "the rotation or translation is no pose")
        else:
            rows[record["token"]] = len(kept)
            kept.append(record)
    used = {channel_of[record["sensor_token"]] for record in kept}
    order = sensors.names()
    channels = [name for name in order if name in used] + sorted(used - set(order))
    arrays: dict[str, Array] = {
        "calibration_pose": np.array([[*r["rotation"], *r["translation"]] for r in kept], np.float64).reshape(-1, 7),
        "calibration_intrinsic": np.array(
            [r["camera_intrinsic"] or np.zeros((3, 3)) for r in kept], np.float64
        ).reshape(-1, 3, 3),
        "calibration_channel": np.array([channels.index(channel_of[r["sensor_token"]]) for r in kept], np.int32),
    }
    return channels, arrays, rows


def _sample_data(tables: _Tables, sample_rows: dict[str, int], calibration_rows: dict[str, int]) -> _SampleData:
    raw = _SampleData()
    needed = ("sample_token", "ego_pose_token", "calibrated_sensor_token", "timestamp", "is_key_frame", "filename")
    for record in tables.records("sample_data", *needed):
        sample = tables.linked("sample_data", record, "sample_token", sample_rows)
        calibration = tables.linked("sample_data", record, "calibrated_sensor_token", calibration_rows)
        if sample is None or calibration is None:
            continue
        name = record["filename"]
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            tables.report("sample_data", record["token"], f"the file name {name!r} leaves the data root")
            continue
        raw.timestamp.append(record["timestamp"])
        raw.pose_key.append(token_key(record["ego_pose_token"]))
        raw.sample.append(sample)
        raw.calibration.append(calibration)
        raw.is_key.append(bool(record["is_key_frame"]))
        raw.size.extend((record.get("height") or 0, record.get("width") or 0))
        raw.tokens.extend(record["token"].encode())
        raw.token_end.append(len(raw.tokens))
        raw.files.extend(name.encode())
        raw.file_end.append(len(raw.files))
    return raw


def _poses(tables: _Tables, raw: _SampleData) -> tuple[Float64[Array, "record 7"], Bool[Array, "record"]]:
    """Ego pose (w, x, y, z, translation) of every record, and whether it has one."""
    key, pose = array("Q"), array("d")
    for record in tables.records("ego_pose", "rotation", "translation"):
        if _is_pose(record):
            key.append(token_key(record["token"]))
            pose.extend(record["rotation"])
            pose.extend(record["translation"])
        else:
            tables.report("ego_pose", record["token"], "the rotation or translation is no pose")
    keys, wanted = np.array(key, np.uint64), np.array(raw.pose_key, np.uint64)
    order = np.argsort(keys)
    position = np.searchsorted(keys, wanted, sorter=order)
    row = order[np.minimum(position, max(len(keys) - 1, 0))] if len(keys) else np.zeros(len(wanted), np.int64)
    has_pose = (position < len(keys)) & (keys[row] == wanted) if len(keys) else np.zeros(len(wanted), np.bool_)
    for record in np.flatnonzero(~has_pose):
        token = bytes(raw.tokens[raw.token_end[record - 1] if record else 0 : raw.token_end[record]]).decode()
        tables.report("sample_data", token, "ego_pose_token points to no record")
    poses = np.array(pose, np.float64).reshape(-1, 7)
    return poses[row] if len(keys) else np.zeros((len(wanted), 7)), has_pose


def _is_pose(record: Record) -> bool:
    try:
        values = [float(v) for v in (*record["rotation"], *record["translation"])]
    except (TypeError, ValueError):
        return False
    return len(values) == 7 and all(map(isfinite, values)) and any(values[:4])
