"""One moment's sensor data from the files, in the level frame of that moment."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.files.affine import Affine, MergedCloud
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.lidar import bev_from_lidar_file, without_vehicle
from avjepa.data.files.point_fields import FIELDS
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.files.radar import RadarFilter, bev_from_radar_file
from avjepa.data.files.regular import Memory
from avjepa.data.moment import BadInput, Moment, SweepKey, SweepStack, all_offsets
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.sample import CameraImages
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.errors import BadFileError

TIME_TOLERANCE = 0.1
"""Seconds that a record between keyframes may be away from its moment. LiDAR turns at 20 Hz, cameras run at 12 Hz,
radars at 13 Hz, so that the nearest record is at most .05 s away unless something is missing."""


class MomentFiles:
    """Reads the moments of a dataset from its files.

    Args:
        index: the dataset.
    """

    def __init__(self, index: DatasetIndex) -> None:
        self.index = index
        self._memory = Memory()

    @property
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""
        return self.index.sensors

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        """See ``MomentReader``; points and poses are in the level frame of the moment."""
        reference = int(self.index.moment_record[moment])
        lidar = [own.lidar for own in inputs if own.lidar is not None]
        radar = [own.radar for own in inputs if own.radar is not None]
        images = dict.fromkeys(own.camera for own in inputs if own.camera is not None)
        bad: list[BadInput] = []
        return Moment(
            token=self.index.moment_token(moment),
            scene=self.index.scene_names[self.index.scene_of(reference)],
            timestamp=int(self.index.record_timestamp[reference]),
            global_from_level=self.index.global_from_level(reference),
            lidar=self._lidar(moment, all_offsets(lidar), bad) if lidar else None,
            radar={
                keep: self._radar(moment, all_offsets([own for own in radar if own.keep == keep]), keep, bad)
                for keep in dict.fromkeys(own.keep for own in radar)
            },
            cameras={transform: self._cameras(moment, transform, bad) for transform in images},
            bad=tuple(bad),
        )

    def _lidar(self, moment: int, offsets: Sequence[int], bad: list[BadInput]) -> SweepStack:
        def read(path: Path) -> Array:
            return without_vehicle(read_lidar(path, self._memory))

        recorded = self._recorded(moment, self.index.sensors.lidar, offsets)
        return self._stacked("lidar", moment, recorded, read, bev_from_lidar_file, bad)

    def _radar(self, moment: int, offsets: Sequence[int], keep: RadarFilter, bad: list[BadInput]) -> SweepStack:
        def read(path: Path) -> Array:
            points = read_radar(path)
            return points[keep.keeps(points)]

        recorded = self._recorded(moment, self.index.sensors.radars, offsets)
        return self._stacked("radar", moment, recorded, read, bev_from_radar_file, bad)

    def _stacked(
        self,
        sensor: Literal["lidar", "radar"],
        moment: int,
        recorded: tuple[list[SweepKey], Int64[Array, "sweep"]],
        read: Callable[[Path], Array],
        affine: Callable[[Array, float], Affine],
        bad: list[BadInput],
    ) -> SweepStack:
        """The sweeps that can be read, one after the other."""
        keys, records = recorded
        cloud = MergedCloud(len(FIELDS[sensor]), len(keys))
        rows: dict[SweepKey, slice] = {}
        for key, record, pose, lag in zip(keys, records.tolist(), *self._chain(records, moment), strict=True):
            try:
                points = read(self.index.file(record))
            except BadFileError as error:
                bad.append(BadInput(sensor, *key, error))
            else:
                rows[key] = cloud.add(points, affine(pose, lag))
        return SweepStack(cloud.points(), rows)

    def _cameras(self, moment: int, transform: ImageTransform, bad: list[BadInput]) -> CameraImages | None:
        keys, records = self._recorded(moment, self.index.sensors.cameras, (0,))
        images, intrinsics, found = [], [], []
        for place, record in enumerate(records.tolist()):
            try:
                height, width = self.index.record_size[record].tolist()
                image, here_from_file = transform.read(self.index.file(record), (height, width))
            except BadFileError as error:
                bad.append(BadInput("camera", *keys[place], error))
            else:
                images.append(image)
                intrinsics.append((here_from_file @ self.index.intrinsic(record)).float())
                found.append(place)
        if not found:
            return None
        poses, _ = self._chain(records[found], moment)
        channels = tuple(keys[place][0] for place in found)
        return CameraImages(
            torch.stack(images),
            torch.stack(intrinsics),
            torch.from_numpy(poses).float(),
            channels,
            self.index.sensors.cameras,
        )

    def _recorded(
        self, moment: int, channels: Sequence[str], offsets: Sequence[int]
    ) -> tuple[list[SweepKey], Int64[Array, "sweep"]]:
        """The sweeps that were recorded, and their records; the scene begins and ends somewhere."""
        found: dict[SweepKey, int] = {}
        for channel in channels:
            reference = self.index.at_moment(moment, channel, TIME_TOLERANCE)
            if reference is not None:
                scene = self.index.records(channel, self.index.scene_of(reference))
                found |= {(channel, offset): reference + offset for offset in offsets if reference + offset in scene}
        return list(found), np.array(list(found.values()), np.int64)

    def _chain(
        self, records: Int64[Array, "record"], moment: int
    ) -> tuple[Float64[Array, "record 4 4"], Float64[Array, "record"]]:
        """Every record's ``level_from_sensor`` and age in seconds."""
        reference = int(self.index.moment_record[moment])
        lags = (self.index.record_timestamp[reference] - self.index.record_timestamp[records]) * 1e-6
        return self.index.level_from_sensor(records, reference), lags
