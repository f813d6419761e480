"""A ``DrivingDataset`` of scenes that an adapter opens one by one."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.file_moments import CameraOfFile, FileMoments, SensorFile
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.labels import Labels
from avjepa.data.map_mask import MapMask
from avjepa.data.moment import SweepKey
from avjepa.data.point_counts import with_counted_points
from avjepa.data.poses import inverse_pose, level_of
from avjepa.data.protocol import AnnotatedKeyframes, BoxSummary
from avjepa.data.recorded.annotations import BoxesOfScenes
from avjepa.data.recorded.boxes import SceneBoxes
from avjepa.data.recorded.outline import Outline, kept_outline
from avjepa.data.recorded.records import SceneRecords
from avjepa.data.sensor_inputs import Sensor
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError

_OPEN_SCENES = 64


class RecordedDataset(FileMoments):
    """What an adapter inherits: it says how a scene is opened, and how a file of points is read.

    Args:
        dataroot: the data set's root folder.
        version: the part of it that is read.
        splits: names of the scenes of every split.
        channels: which channels are read, and as what.
        taxonomy: the classes of the boxes.
    """

    time_tolerance = 0.1
    """Seconds that a sensor's file may be away from its moment."""

    def __init__(
        self,
        dataroot: Path,
        version: str,
        splits: Mapping[str, Sequence[str]],
        channels: SensorChannels,
        taxonomy: Taxonomy,
    ) -> None:
        self.dataroot = dataroot
        self.version = version
        self.splits = {split: tuple(scenes) for split, scenes in splits.items()}
        self.scene_names = tuple(dict.fromkeys(scene for scenes in splits.values() for scene in scenes))
        self.taxonomy = taxonomy
        self._channels = channels
        self._cache()

    def _cache(self) -> None:
        """Make what keeps opened scenes; every process has its own."""
        self._scene = lru_cache(_OPEN_SCENES)(self.open_scene)
        self._boxes = lru_cache(_OPEN_SCENES)(self.open_boxes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not hasattr(value, "cache_clear")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._cache()

    # -- what an adapter says

    @abstractmethod
    def open_scene(self, scene: str) -> SceneRecords:
        """What was recorded in a scene. Raises ``UserError`` where that is broken."""

    @abstractmethod
    def open_boxes(self, scene: str) -> SceneBoxes | None:
        """What is annotated in a scene, ``None`` for nothing. Raises ``UserError`` where that is broken."""

    def sources(self, scene: str) -> Sequence[Path]:
        """Files and folders by whose sizes and times of change one sees that a scene is as it was.

        Where an adapter names some, what is known of all scenes at once is kept in a file, ``.avjepa-outline``, beside
        them (or in the user's cache folder), and not all scenes are opened each time.
        """
        return ()

    def lidar_points(self, file: SensorFile) -> Float32[Array, "point 5"]:
        """See ``FileMoments``: ``.pcd.bin`` or ``.pcd`` unless the adapter says otherwise."""
        return read_lidar(file.path)

    def radar_points(self, file: SensorFile) -> Float32[Array, "point 18"]:
        """See ``FileMoments``: a radar ``.pcd`` unless the adapter says otherwise."""
        return read_radar(file.path, file.motion)

    def map_mask(self, scene: str) -> MapMask:
        """See ``DrivingDataset``: no map, unless the adapter says otherwise."""
        raise UserError(f"{self.name}: has no map of scene {scene}; train no class that is taught from maps")

    # -- what follows

    @property
    def name(self) -> str:
        """Its folder."""
        return str(self.dataroot / self.version)

    @property
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""
        return self._channels

    @property
    def recorded_channels(self) -> tuple[str, ...]:
        """All channels there are."""
        return self._outline.channels

    def scenes_of(self, split: str | None) -> list[str]:
        """See ``DrivingDataset``."""
        if split is None:
            return list(self.scene_names)
        if not self.splits.get(split):
            known = ", ".join(sorted(name for name, scenes in self.splits.items() if scenes)) or "none"
            raise UserError(f"split {split!r} does not exist in {self.name}, or is empty; splits there: {known}")
        return list(self.splits[split])

    def scene_descriptions(self) -> dict[str, str]:
        """See ``DrivingDataset``: nothing."""
        return {}

    def fingerprint(self) -> str:
        """See ``DrivingDataset``."""
        return self._outline.digest

    def label_fingerprint(self) -> str:
        """See ``DrivingDataset``."""
        boxes = (self._boxes(scene) for scene in self.scene_names)
        return sha256(repr([None if own is None else own.digest() for own in boxes]).encode()).hexdigest()

    @cached_property
    def _outline(self) -> Outline:
        sources = [path for scene in self.scene_names for path in self.sources(scene)]
        about = (self.scene_names, self._scene, self._channels, self.time_tolerance)
        return kept_outline(self.dataroot / self.version, sources, *about) if sources else Outline.of(*about)

    # -- moments

    def __len__(self) -> int:
        """Number of moments."""
        return int(self._outline.start[-1])

    def moments(self, scenes: list[str] | None = None, keyframes_only: bool = False) -> Int64[Array, "chosen"]:
        """See ``DrivingDataset``."""
        keep = self._outline.is_keyframe.copy() if keyframes_only else np.ones(len(self), np.bool_)
        if scenes is not None:
            chosen = np.isin(np.asarray(self.scene_names, dtype=np.str_), np.asarray(scenes, dtype=np.str_))
            keep &= np.repeat(chosen, np.diff(self._outline.start))
        return np.flatnonzero(keep)

    def unrecorded(self, scenes: list[str]) -> tuple[str, ...]:
        """None: whatever is a keyframe is a moment."""
        return ()

    def keyframe_tokens(self, scenes: list[str]) -> tuple[str, ...]:
        """See ``DrivingDataset``."""
        return tuple(self.token_of(moment) for moment in self.moments(scenes, keyframes_only=True).tolist())

    def recorded(self, sensor: Sensor) -> Bool[Array, "moment"]:
        """Which moments have a file of at least one of the sensor's channels."""
        return self._outline.recorded[sensor]

    def token_of(self, moment: int) -> str:
        """See ``SceneRecords``."""
        scene, row = self._place(moment)
        return self._scene(scene).tokens[row]

    def scene_of(self, moment: int) -> str:
        """Name of the moment's scene."""
        return self._place(moment)[0]

    def time_of(self, moment: int) -> int:
        """Reference time in microseconds."""
        scene, row = self._place(moment)
        return int(self._scene(scene).time[row])

    def global_from_level(self, moment: int) -> Float64[Tensor, "4 4"]:
        """See ``DrivingDataset``."""
        return torch.from_numpy(self._level(moment))

    def global_from_ego(self, moment: int) -> Float64[Array, "4 4"]:
        """Pose of the vehicle at a moment in the world, pitch and roll included."""
        scene, row = self._place(moment)
        pose: Array = self._scene(scene).global_from_ego[row]
        return pose

    def files(self, moment: int, channels: Sequence[str], offsets: Sequence[int]) -> dict[SweepKey, SensorFile]:
        """See ``FileMoments``."""
        records, time = self._scene(self.scene_of(moment)), self.time_of(moment)
        level_from_global = inverse_pose(self._level(moment))
        found = {}
        for channel in channels:
            own = records.channels.get(channel)
            reference = None if own is None else own.nearest(time, self.time_tolerance)
            if own is None or reference is None:
                continue
            camera = None
            if own.intrinsic is not None:
                camera = CameraOfFile(torch.from_numpy(own.intrinsic), own.size, own.horizon)
            for row in (reference + offset for offset in offsets):
                if 0 <= row < len(own.time):
                    pose = level_from_global @ own.global_from_sensor[row]
                    lag = (time - int(own.time[row])) * 1e-6
                    motion = partial(own.sensor_velocity, row)
                    found[channel, row - reference] = SensorFile(own.files[row], pose, lag, camera, motion)
        return found

    def _place(self, moment: int) -> tuple[str, int]:
        start = self._outline.start
        scene = int(np.searchsorted(start, moment, side="right")) - 1
        return self.scene_names[scene], moment - int(start[scene])

    def _level(self, moment: int) -> Float64[Array, "4 4"]:
        return level_of(self.global_from_ego(moment))

    # -- labels

    @property
    def _annotations(self) -> BoxesOfScenes:
        return BoxesOfScenes(self.scene_names, self._boxes, self.taxonomy)

    def has_labels(self) -> bool:
        """Whether any scene is annotated."""
        return any(self._boxes(scene) is not None for scene in self.scene_names)

    def labels(self, moment: int) -> Labels:
        """See ``DrivingDataset``."""
        level_from_global = torch.from_numpy(inverse_pose(self._level(moment)))
        labels = self._annotations.labels(*self._place(moment), level_from_global)
        count_lidar, count_radar = bool((labels.lidar_points < 0).any()), bool((labels.radar_points < 0).any())
        return with_counted_points(labels, self, moment, count_lidar, count_radar)

    def boxes(self, moments: Int64[Array, "item"]) -> BoxSummary:
        """See ``DrivingDataset``."""
        return self._annotations.summary([self._place(moment) for moment in moments.tolist()])

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        """See ``DrivingDataset``."""
        return self._annotations.of_keyframes(scenes, self._scene)

    def unfit_for_devkit(self, split: str) -> str:
        """See ``DrivingDataset``: it has no tables of nuScenes."""
        return "the nuScenes devkit knows its own tables alone"

    def track_name(self, track_id: int) -> str:
        """See ``DrivingDataset``."""
        return self._annotations.track_name(track_id)
