"""From the nuScenes tables to the sorted arrays of ``DatasetIndex``. Never opens the annotation or instance table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.cache import Cached
from avjepa.data.channels import SensorChannels
from avjepa.data.nuscenes.cached_problems import problems_of, remarks_of
from avjepa.data.nuscenes.columns import fixed_width
from avjepa.data.nuscenes.sample_data_table import read_poses, read_sample_data
from avjepa.data.nuscenes.scene_tables import read_calibrations, read_samples, read_scenes
from avjepa.data.nuscenes.splits import official_splits
from avjepa.data.nuscenes.table_checks import jumps, leaves_root
from avjepa.data.nuscenes.tables import OnTableProblem, TableReader

INDEX_TABLES = ("scene", "log", "sample", "sensor", "calibrated_sensor", "ego_pose", "sample_data")
"""The tables that the index is made from."""


def build_index(
    folder: Path,
    sensors: SensorChannels,
    on_problem: OnTableProblem,
    on_bytes: Callable[[int], object] = lambda count: None,
) -> Cached:
    """Read the tables.

    Args:
        folder: where they lie.
        sensors: its first LiDAR makes the moments, and its order is that of the channels.
        on_problem: called with every problem; a record with one is left out, if this returns at all.
        on_bytes: called with every number of bytes that were read.
    """
    reader = TableReader(folder, on_problem, on_bytes)
    scenes = read_scenes(reader)
    sample_arrays, sample_rows = read_samples(reader, [scene for scene, _ in scenes])
    channels, calibration_arrays, calibration_rows = read_calibrations(reader, sensors)
    raw = read_sample_data(reader, sample_rows, calibration_rows)
    poses, pose, keep = read_poses(reader, raw)

    # nuScenes trainval has 2.6 M records: what was used for the last time is dropped
    scene = sample_arrays["sample_scene"][raw.numbers["sample"]]
    channel = calibration_arrays["calibration_channel"][raw.numbers["calibration"]]
    group = channel.astype(np.int64) * len(scenes) + scene
    order = np.lexsort((raw.numbers["timestamp"], group))
    order = order[keep[order]]
    group = group[order]
    record_pose = poses[pose[order]]
    del poses, pose
    arrays = {
        **sample_arrays,
        **calibration_arrays,
        "group_start": np.searchsorted(group, np.arange(len(channels) * len(scenes) + 1)).astype(np.int64),
        "record_timestamp": raw.numbers.pop("timestamp")[order],
        "record_pose": record_pose,
        "record_calibration": raw.numbers.pop("calibration")[order],
        "record_sample": raw.numbers.pop("sample")[order],
        "record_is_key": raw.numbers.pop("is_key")[order],
        "record_size": np.stack((raw.numbers.pop("height")[order], raw.numbers.pop("width")[order]), axis=1),
        "record_file_start": raw.files.start[order],
        "record_file_end": raw.files.end[order],
        "file_bytes": raw.files.packed,
    }
    for row, distance in jumps(arrays["record_pose"], arrays["record_timestamp"], group):
        problem = f"the ego pose is {distance / 1000:.1f} km from that of the sensor's record before it"
        reader.report("sample_data", raw.tokens[int(order[row])], problem, blocks=False)
    moment_record = _moments(arrays, channels, sensors, channel[order], scene[order])
    tokens = raw.tokens.take(order[moment_record])
    for moment in np.flatnonzero(arrays["record_is_key"][moment_record]):
        sample_token = arrays["sample_token"][arrays["record_sample"][moment_record[moment]]]
        tokens[moment] = sample_token.tobytes().rstrip(b"\0")
    arrays |= {"moment_record": moment_record, "moment_token": fixed_width(tokens)}
    present = {scene.name for scene, _ in scenes}
    info = {
        "channels": channels,
        "scenes": [{"token": scene.token, "name": scene.name, "location": place} for scene, place in scenes],
        "splits": {
            split: [name for name in names if name in present] for split, names in official_splits(folder).items()
        },
    }
    return Cached(arrays, info, remarks_of(reader.problems))


def check_index(contents: Cached) -> None:
    """Raises ``ValueError`` for an index that names a file outside of the data root, which the tables may not.

    So do problems that are none.
    """
    problems_of(contents)
    start, end = contents.arrays["record_file_start"], contents.arrays["record_file_end"]
    names = contents.arrays["file_bytes"].tobytes()
    if ((start < 0) | (end <= start) | (end > len(names))).any():
        raise ValueError("a file has no name")
    suspicious = np.flatnonzero(contents.arrays["file_bytes"][start] == ord("/"))
    if b".." in names or b"\0" in names:
        suspicious = np.arange(len(start))
    if any(leaves_root(names[start[row] : end[row]].decode()) for row in suspicious):
        raise ValueError("a file name leaves the data root")


def _moments(
    arrays: dict[str, Array], channels: list[str], sensors: SensorChannels, channel: Array, scene: Array
) -> Int64[Array, "moment"]:
    """Records that samples are made from: sweeps of the first LiDAR, for keyframes without one another sensor's record.

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
