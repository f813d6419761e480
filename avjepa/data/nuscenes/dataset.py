"""nuScenes, and whatever else is written in its schema, as a ``DrivingDataset``."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.labels import Labels
from avjepa.data.map_mask import MapMask
from avjepa.data.nuscenes.annotated_keyframes import annotated_keyframes
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.devkit_needs import unfit_for_devkit
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.map_masks import MapMasks
from avjepa.data.nuscenes.moment_files import TIME_TOLERANCE, MomentFiles
from avjepa.data.nuscenes.records import Scene
from avjepa.data.nuscenes.tables import TableReader, pass_over_problem
from avjepa.data.point_counts import with_counted_points
from avjepa.data.protocol import AnnotatedKeyframes, BoxSummary
from avjepa.data.sensor_inputs import Sensor, channels_of
from avjepa.data.taxonomy import Taxonomy


class NuScenesDataset(MomentFiles):
    """A version of a data set in nuScenes format.

    Args:
        index: its scenes, moments and sensor records.
        taxonomy: the classes of its boxes.
    """

    def __init__(self, index: DatasetIndex, taxonomy: Taxonomy) -> None:
        super().__init__(index)
        self.taxonomy = taxonomy
        self._maps = MapMasks(index)

    @staticmethod
    def recognises(dataroot: Path, version: str) -> bool:
        """Whether the tables of a version are there."""
        return (dataroot / version / "sample_data.json").is_file()

    @classmethod
    def open(cls, dataroot: Path, version: str, channels: SensorChannels, taxonomy: Taxonomy) -> "NuScenesDataset":
        """Open the tables, without the annotations.

        Raises:
            UserError: see ``DatasetIndex.open``.
        """
        return cls(DatasetIndex.open(dataroot, version, channels), taxonomy)

    def __reduce__(self) -> tuple[Any, ...]:  # the annotations are mapped again, not sent
        return NuScenesDataset, (self.index, self.taxonomy)

    @cached_property
    def annotations(self) -> AnnotationIndex:
        """The boxes. Opened when they are asked for, so that pre-training never does.

        Raises:
            UserError: an annotation table is missing or broken.
        """
        return AnnotationIndex.open(self.index, self.taxonomy)

    @property
    def name(self) -> str:
        """The folder of the tables."""
        return str(self.index.folder)

    @property
    def dataroot(self) -> Path:
        """The folder that holds the folder of the tables."""
        return self.index.dataroot

    @property
    def version(self) -> str:
        """Name of the folder of the tables."""
        return self.index.version

    @property
    def recorded_channels(self) -> tuple[str, ...]:
        """All channels of the tables."""
        return self.index.channels

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Names of all scenes."""
        return self.index.scene_names

    def scenes_of(self, split: str | None) -> list[str]:
        """See ``DrivingDataset``."""
        return self.index.scenes_of(split)

    def scene_descriptions(self) -> dict[str, str]:
        """See ``DrivingDataset``: ``description`` of the table of scenes, where it is a text."""
        said = {
            scene.name: scene.description
            for scene in TableReader(self.index.folder, pass_over_problem).records(Scene)
            if isinstance(scene.description, str)
        }
        return {name: said.get(name, "") for name in self.scene_names}

    def fingerprint(self) -> str:
        """See ``DrivingDataset``."""
        return self.index.fingerprint()

    def label_fingerprint(self) -> str:
        """See ``DrivingDataset``."""
        return self.annotations.fingerprint()

    # -- moments

    def __len__(self) -> int:
        """Number of moments."""
        return len(self.index)

    def moments(self, scenes: list[str] | None = None, keyframes_only: bool = False) -> Int64[Array, "chosen"]:
        """See ``DrivingDataset``."""
        return self.index.moments(scenes, keyframes_only)

    def unrecorded(self, scenes: list[str]) -> tuple[str, ...]:
        """Tokens of the samples that have no record of any channel."""
        moments = self.index.moments(scenes, keyframes_only=True)
        recorded = self.index.record_sample[self.index.moment_record[moments]]
        missing = np.setdiff1d(self.index.samples(scenes), recorded)
        return tuple(self.index.sample_token(int(sample)) for sample in missing)

    def keyframe_tokens(self, scenes: list[str]) -> tuple[str, ...]:
        """The sample tokens."""
        return tuple(self.index.sample_token(int(sample)) for sample in self.index.samples(scenes))

    def recorded(self, sensor: Sensor) -> Bool[Array, "moment"]:
        """Which moments have a record of at least one of the sensor's channels."""
        return self.index.recorded(channels_of(sensor, self.channels), TIME_TOLERANCE)

    def map_mask(self, scene: str) -> MapMask:
        """See ``DrivingDataset``: the tables' semantic prior."""
        return self._maps.of_scene(scene)

    # -- labels

    def has_labels(self) -> bool:
        """Whether there is an annotation table; a drive that nobody labelled has none."""
        return AnnotationIndex.is_there(self.index)

    def labels(self, moment: int) -> Labels:
        """See ``DrivingDataset``: points are counted in the sweeps of the keyframe itself, as the tables count them."""
        labels = self.annotations.labels(moment)
        lidar_points, radar_points = labels.lidar_points, labels.radar_points
        if self._scene_is_counted[self.index.scene_of(int(self.index.moment_record[moment]))]:
            count_lidar, count_radar = bool((lidar_points < 0).any()), bool((radar_points < 0).any())
        else:
            lidar_points = radar_points = torch.full_like(labels.lidar_points, -1)
            count_lidar = count_radar = len(labels) > 0
        unsure = replace(labels, lidar_points=lidar_points, radar_points=radar_points)
        return with_counted_points(unsure, self, moment, count_lidar, count_radar)

    def boxes(self, moments: Int64[Array, "item"]) -> BoxSummary:
        """See ``DrivingDataset``."""
        annotations = self.annotations
        samples = self.index.record_sample[self.index.moment_record[moments]]
        rows_of = [annotations.of_sample(int(sample)) for sample in samples]
        count = np.array([len(rows) for rows in rows_of], np.int64)
        first = np.array([rows.start for rows in rows_of], np.int64)
        start = np.cumsum(count) - count
        item = np.repeat(np.arange(len(moments)), count)
        row = np.arange(len(item)) - np.repeat(start, count) + np.repeat(first, count)
        class_index = annotations.class_index[row].astype(np.int64)
        listed = np.cumsum(class_index >= 0)  # numbered on within each moment, as ``Labels`` lists them
        before = np.concatenate(([0], listed))[start]
        counted = self._scene_is_counted[self.index.sample_scene[annotations.sample[row]]]
        return BoxSummary(
            item=item,
            number=np.where(class_index >= 0, listed - 1 - np.repeat(before, count), -1),
            class_index=class_index,
            category=annotations.category[row].astype(np.int64),
            categories=annotations.categories,
            lidar_points=np.where(counted, annotations.lidar_points[row], -1).astype(np.int64),
            radar_points=np.where(counted, annotations.radar_points[row], -1).astype(np.int64),
        )

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        """See ``DrivingDataset``."""
        return annotated_keyframes(self.index, self.annotations, scenes)

    def unfit_for_devkit(self, split: str) -> str:
        """See ``DrivingDataset``."""
        return unfit_for_devkit(self.index, self.taxonomy, split)

    def track_name(self, track_id: int) -> str:
        """The instance token."""
        return self.annotations.instance_token(track_id)

    @cached_property
    def _scene_is_counted(self) -> Bool[Array, "scene"]:
        """Which scenes have a box with a point. If none has, whoever wrote the tables did not count."""
        annotations = self.annotations
        seen = (annotations.lidar_points > 0) | (annotations.radar_points > 0)
        result = np.zeros(len(self.scene_names), np.bool_)
        result[self.index.sample_scene[annotations.sample[seen]]] = True
        return result
