"""The small tables of an index: scenes and their logs, keyframes, sensors and their calibrations."""

from typing import TypeVar

import numpy as np

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.nuscenes.columns import fixed_width, keys_of
from avjepa.data.nuscenes.records import CalibratedSensor, Log, Record, Sample, Scene, Sensor
from avjepa.data.nuscenes.table_checks import (
    NO_ROTATION,
    camera_matrix_problem,
    can_rotate,
    report_dangling,
    report_repeated,
)
from avjepa.data.nuscenes.tables import TableReader

R = TypeVar("R", bound=Record)


def read_scenes(reader: TableReader) -> list[tuple[Scene, str]]:
    """Every scene, and the place where it was recorded: empty where no scene names a log, as in MAN TruckScenes."""
    scenes: dict[str, tuple[Scene, str]] = {}
    records = unrepeated(reader, Scene)
    named = any(scene.log_token for scene in records)
    locations = {log.token: log.location for log in unrepeated(reader, Log)} if named else {"": ""}
    for scene in records:
        if scene.log_token not in locations:
            reader.report("scene", scene.token, f"log_token {scene.log_token!r} points to no record")
        elif scene.name in scenes:
            reader.report("scene", scene.token, f"another scene is called {scene.name!r}, too")
        else:
            scenes[scene.name] = scene, locations[scene.log_token]
    return list(scenes.values())


def unrepeated(reader: TableReader, record_type: type[R]) -> list[R]:
    """The records of a small table, without those whose token an earlier one has."""
    records = list(reader.records(record_type))
    tokens = [record.token for record in records]
    for row in report_repeated(reader, record_type.table, keys_of(tokens, len(tokens)), tokens.__getitem__)[::-1]:
        del records[row]
    return records


def read_samples(reader: TableReader, scenes: list[Scene]) -> tuple[dict[str, Array], dict[str, int]]:
    """Arrays of the keyframes, in order of scene and time, and the row of every token."""
    scene_rows = {scene.token: row for row, scene in enumerate(scenes)}
    samples = unrepeated(reader, Sample)
    tokens = [sample.token for sample in samples]
    keys = keys_of(tokens, len(tokens))
    for link in ("prev", "next"):
        wanted = keys_of([getattr(sample, link) for sample in samples], len(samples))
        report_dangling(reader, "sample", link, wanted, keys, tokens.__getitem__)
    for link in ("first_sample_token", "last_sample_token"):
        wanted = keys_of([getattr(scene, link) for scene in scenes], len(scenes))
        report_dangling(reader, "scene", link, wanted, keys, lambda row: scenes[row].token)

    found: list[tuple[int, int, str]] = []
    for sample in samples:
        if sample.scene_token in scene_rows:
            found.append((scene_rows[sample.scene_token], sample.timestamp, sample.token))
        else:
            reader.report("sample", sample.token, f"scene_token {sample.scene_token!r} points to no record")
    found.sort()
    arrays: dict[str, Array] = {
        "sample_token": fixed_width([token.encode() for _, _, token in found]),
        "sample_timestamp": np.array([timestamp for _, timestamp, _ in found], np.int64),
        "sample_scene": np.array([scene for scene, _, _ in found], np.int32),
    }
    return arrays, {token: row for row, (_, _, token) in enumerate(found)}


def read_calibrations(
    reader: TableReader, channels: SensorChannels
) -> tuple[list[str], dict[str, Array], dict[str, int]]:
    """Names of the channels in use, arrays of the calibrations, and the row of every token."""
    sensors = {sensor.token: sensor for sensor in unrepeated(reader, Sensor)}
    kept: list[CalibratedSensor] = []
    for record in unrepeated(reader, CalibratedSensor):
        sensor = sensors.get(record.sensor_token)
        if sensor is None:
            problem = f"sensor_token {record.sensor_token!r} points to no record"
        elif not can_rotate(np.array([record.rotation]))[0]:
            problem = NO_ROTATION
        else:
            problem = camera_matrix_problem(
                record.camera_intrinsic, sensor.modality == "camera" or sensor.channel in channels.cameras
            )
        if problem:
            reader.report("calibrated_sensor", record.token, problem)
        else:
            kept.append(record)
    used = [sensors[record.sensor_token].channel for record in kept]
    names = [name for name in channels.names() if name in used] + sorted(set(used) - set(channels.names()))
    poses = [[*record.rotation, *record.translation] for record in kept]
    matrices = [record.camera_intrinsic or np.zeros((3, 3)) for record in kept]
    arrays: dict[str, Array] = {
        "calibration_pose": np.array(poses, np.float64).reshape(-1, 7),
        "calibration_intrinsic": np.array(matrices, np.float64).reshape(-1, 3, 3),
        "calibration_channel": np.array([names.index(channel) for channel in used], np.int32),
    }
    return names, arrays, {record.token: row for row, record in enumerate(kept)}
