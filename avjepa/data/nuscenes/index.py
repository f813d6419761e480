"""What a dataset holds, as compact sorted arrays: scenes, moments, sensor records, poses, calibration, splits."""

import itertools
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.cache import Cached, cached
from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.nuscenes.cached_problems import problems_of
from avjepa.data.nuscenes.index_tables import INDEX_TABLES, build_index, check_index
from avjepa.data.nuscenes.splits import splits_of
from avjepa.data.nuscenes.tables import TableProblem, pass_over_problem, stop_at_problem, version_folder
from avjepa.data.nuscenes.truckscenes import CHANNELS as TRUCKSCENES_CHANNELS
from avjepa.data.poses import inverse_pose, level_of, pose_matrices
from avjepa.errors import UserError
from avjepa.progress import reading_bar


class DatasetIndex:
    """A dataset in nuScenes format without its annotations.

    A *record* is a row of the table sample_data: one file of one sensor. Records are sorted by channel, scene and time.
    A *moment* is a record that a sample is made from: every sweep of the first LiDAR, key or not, and for a keyframe
    without it the record of its first other sensor. Moments are sorted by scene and time. The arrays are
    memory-mapped: opening costs next to nothing, and processes share the memory.

    Attributes:
        dataroot: folder that file names are relative to.
        version: name of the folder of tables.
        sensors: which channels are read, and as what.
        channels: names of all sensors of the tables.
        scene_names: name of every scene; a scene's number is its row here.
        moment_record: record of every moment.
    """

    def __init__(self, dataroot: Path, version: str, sensors: SensorChannels, contents: Cached) -> None:
        self.dataroot = dataroot
        self.version = version
        self.sensors = sensors
        arrays: dict[str, Array] = contents.arrays
        info: dict[str, Any] = contents.info
        self._official_splits: dict[str, list[str]] = info["splits"]
        self.channels: tuple[str, ...] = tuple(info["channels"])
        self.scene_names: tuple[str, ...] = tuple(scene["name"] for scene in info["scenes"])
        self.sample_timestamp = arrays["sample_timestamp"]
        self.sample_scene = arrays["sample_scene"]
        self.moment_record = arrays["moment_record"]
        self.record_timestamp = arrays["record_timestamp"]
        self.record_sample = arrays["record_sample"]
        self.record_is_key = arrays["record_is_key"]
        self.record_size = arrays["record_size"]
        """(height, width) of images; zeros for other sensors."""
        self.record_calibration = arrays["record_calibration"]
        self._record_pose = arrays["record_pose"]
        self._group_start = arrays["group_start"]
        self._arrays = arrays
        self._contents = contents

    @classmethod
    def open(
        cls,
        dataroot: str | os.PathLike[str],
        version: str,
        sensors: SensorChannels = NUSCENES_CHANNELS,
        keep_broken: bool = False,
    ) -> "DatasetIndex":
        """Open a dataset; its index is built at the first time and whenever the tables have changed.

        Args:
            dataroot: folder that file names are relative to.
            version: name of the folder of tables.
            sensors: which channels are read, and as what.
            keep_broken: leave broken records out, for ``problems`` to say, instead of refusing them.

        Raises:
            UserError: no such folder or version, a table that is missing or broken, a channel of ``sensors`` that there
                is not; unless ``keep_broken``, a token that points nowhere, a file name that leaves the data root.
        """
        folder = version_folder(dataroot, version)
        sources = [folder / f"{table}.json" for table in INDEX_TABLES]

        def build() -> Cached:
            with reading_bar("reading tables", sources) as on_bytes:
                return build_index(folder, sensors, pass_over_problem if keep_broken else stop_at_problem, on_bytes)

        name = "index" if sensors == NUSCENES_CHANNELS else f"index-{sensors.digest()}"
        index = cls(Path(dataroot), version, sensors, cached(folder, name, sources, build, check_index))
        if not keep_broken:
            for problem in index.problems:
                stop_at_problem(problem)
        sensors.check(index.channels, folder, NUSCENES_CHANNELS, TRUCKSCENES_CHANNELS)
        return index

    def __reduce__(self) -> tuple[Any, ...]:  # a worker process maps the file again instead of receiving a copy
        return DatasetIndex.open, (self.dataroot, self.version, self.sensors)

    def __len__(self) -> int:
        """Number of moments."""
        return len(self.moment_record)

    @property
    def folder(self) -> Path:
        """Where the tables lie."""
        return self.dataroot / self.version

    def fingerprint(self) -> str:
        """SHA-256 of all that the tables say of scenes, keyframes, records, times, poses, calibrations and files.

        What to write beside a result to say which data it is from. The sensor files themselves are not opened, and
        where the folder lies does not matter.
        """
        return self._contents.fingerprint()

    @property
    def problems(self) -> list[TableProblem]:
        """What is wrong with the tables that the index was made from."""
        return problems_of(self._contents)

    # -- scenes and splits

    @cached_property
    def splits(self) -> dict[str, list[str]]:
        """Scene names by split: those of the version's ``splits.json``; without one those of the devkit."""
        splits = splits_of(self.folder, self._official_splits, set(self.scene_names))
        for split, names in splits.items():
            unknown = sorted(set(names) - set(self.scene_names))
            if unknown:
                raise UserError(
                    f"{self.version}/splits.json: split {split!r} names scene {unknown[0]!r}, which scene.json lacks; "
                    "mend one of them"
                )
        return splits

    def scenes_of(self, split: str | None) -> list[str]:
        """Names of the scenes of a split that the tables hold; of all scenes for ``None``.

        Raises:
            UserError: there is no such split, or the tables hold none of its scenes.
        """
        if split is None:
            return list(self.scene_names)
        if split not in self.splits:
            known = ", ".join(sorted(self.splits)) or "none; write <dataroot>/<version>/splits.json"
            raise UserError(f"split {split!r} does not exist in {self.folder}; splits there: {known}")
        if not self.splits[split]:
            raise UserError(f"split {split!r}: {self.folder} holds none of its scenes; choose another split")
        return self.splits[split]

    def samples(self, scenes: list[str] | None = None) -> Int64[Array, "chosen"]:
        """Rows of the samples (keyframes) in some scenes (all for ``None``), recorded or not, by scene and time."""
        if scenes is None:
            return np.arange(len(self.sample_scene))
        return np.flatnonzero(np.isin(self.sample_scene, [self.scene_names.index(name) for name in scenes]))

    # -- moments

    def moments(self, scenes: list[str] | None = None, keyframes_only: bool = False) -> Int64[Array, "chosen"]:
        """Numbers of the moments in some scenes (all for ``None``), in order of scene and time."""
        keep = np.ones(len(self), np.bool_)
        if scenes is not None:
            rows = [self.scene_names.index(name) for name in scenes]
            keep &= np.isin(self.sample_scene[self.record_sample[self.moment_record]], rows)
        if keyframes_only:
            keep &= self.record_is_key[self.moment_record]
        return np.flatnonzero(keep)

    def recorded(self, channels: Sequence[str], tolerance: float) -> Bool[Array, "moment"]:
        """Which moments have a record (as ``at_moment`` finds it) of at least one of the channels."""
        found = np.zeros(len(self), np.bool_)
        samples = self.record_sample[self.moment_record]
        scenes = self.sample_scene[samples]
        times = self.record_timestamp[self.moment_record]
        is_key = self.record_is_key[self.moment_record]
        border = np.searchsorted(scenes, np.arange(len(self.scene_names) + 1))
        for channel in channels:
            has_keyframe = np.zeros(len(self.sample_timestamp), np.bool_)
            for scene, (first, last) in enumerate(itertools.pairwise(border.tolist())):
                group = self.records(channel, scene)
                if not group:
                    continue
                own = slice(group.start, group.stop)
                recorded, wanted = self.record_timestamp[own], times[first:last]
                has_keyframe[self.record_sample[own][self.record_is_key[own]]] = True
                after = np.minimum(np.searchsorted(recorded, wanted), len(group) - 1)
                distance = np.minimum(
                    np.abs(recorded[after] - wanted), np.abs(recorded[np.maximum(after - 1, 0)] - wanted)
                )
                found[first:last] |= distance <= tolerance * 1e6
            found |= is_key & has_keyframe[samples]
        return found

    def moment_token(self, moment: int) -> str:
        """The sample token of a keyframe; the sample_data token of a moment between keyframes."""
        return _text(self._arrays["moment_token"][moment])

    def sample_token(self, sample: int) -> str:
        """Token of a sample (keyframe) by its row."""
        return _text(self._arrays["sample_token"][sample])

    # -- records

    def file(self, record: int) -> Path:
        """Path of a record's file."""
        start, end = self._arrays["record_file_start"][record], self._arrays["record_file_end"][record]
        return self.dataroot / self._arrays["file_bytes"][start:end].tobytes().decode()

    def records(self, channel: str, scene: int) -> range:
        """Records of a channel in a scene, in order of time; empty for a channel that there is not."""
        if channel not in self.channels:
            return range(0)
        group = self.channels.index(channel) * len(self.scene_names) + scene
        return range(int(self._group_start[group]), int(self._group_start[group + 1]))

    def scene_of(self, record: int) -> int:
        """Number of the scene that a record belongs to."""
        return int(self.sample_scene[self.record_sample[record]])

    def channel_of(self, record: int) -> str:
        """Name of the sensor that made a record."""
        return self.channels[int(self._arrays["calibration_channel"][self.record_calibration[record]])]

    def at_moment(self, moment: int, channel: str, tolerance: float) -> int | None:
        """A channel's record of a moment.

        That is the moment's own record, the keyframe's record if the moment is a keyframe, and otherwise the nearest
        in time, if it is at most ``tolerance`` seconds away.
        """
        reference = int(self.moment_record[moment])
        if self.channel_of(reference) == channel:
            return reference
        group = self.records(channel, self.scene_of(reference))
        if not group:
            return None
        times = self.record_timestamp[group.start : group.stop]
        time = self.record_timestamp[reference]
        if self.record_is_key[reference]:
            same = self.record_sample[group.start : group.stop] == self.record_sample[reference]
            own = np.flatnonzero(same & self.record_is_key[group.start : group.stop])
            if len(own):
                return group.start + int(own[0])
        nearest = int(np.abs(times - time).argmin())
        return group.start + nearest if abs(int(times[nearest]) - int(time)) <= tolerance * 1e6 else None

    # -- geometry

    def global_from_ego(self, records: Int64[Array, "record"]) -> Float64[Tensor, "record 4 4"]:
        """Ego pose at each record's own time."""
        return torch.from_numpy(pose_matrices(self._record_pose[records]))

    def ego_from_sensor(self, records: Int64[Array, "record"]) -> Float64[Tensor, "record 4 4"]:
        """Pose of each record's sensor on the vehicle."""
        return torch.from_numpy(self._calibrations[self.record_calibration[records]])

    def stored_rotations(self, records: Int64[Array, "record"]) -> Float64[Array, "record 4"]:
        """Quaternion (w, x, y, z) of the ego pose at each record's own time, of the length that the table gives it."""
        rotations: Array = self._record_pose[records, :4]
        return rotations

    def global_from_level(self, reference: int) -> Float64[Tensor, "4 4"]:
        """The level frame of a moment whose record is ``reference``: origin and heading of the ego pose, z up."""
        return torch.from_numpy(self._level(reference))

    def level_from_sensor(self, records: Int64[Array, "record"], reference: int) -> Float64[Array, "record 4 4"]:
        """The level frame of the record ``reference`` from each record's sensor frame.

        The chain is level(reference) <- global <- ego(record) <- sensor, with each record's own ego pose.
        """
        global_from_sensor = (
            pose_matrices(self._record_pose[records]) @ self._calibrations[self.record_calibration[records]]
        )
        chain: Array = inverse_pose(self._level(reference)) @ global_from_sensor
        return chain

    def _level(self, reference: int) -> Float64[Array, "4 4"]:
        return level_of(pose_matrices(self._record_pose[reference : reference + 1])[0])

    @cached_property
    def _calibrations(self) -> Float64[Array, "calibration 4 4"]:
        return pose_matrices(self._arrays["calibration_pose"])

    def intrinsic(self, record: int) -> Float64[Tensor, "3 3"]:
        """Camera matrix for the full-size image; zeros for a sensor that is no camera."""
        return torch.from_numpy(self._arrays["calibration_intrinsic"][self.record_calibration[record]].copy())


def _text(row: Array) -> str:
    text: str = row.tobytes().rstrip(b"\0").decode()
    return text
