"""One moment's sensor data from the files, in the BEV frame of that moment."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.lidar import lidar_in_bev
from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.files.radar import radar_in_bev
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.sample import CameraImages, Sample
from avjepa.data.sensor_inputs import (
    LidarSweeps,
    OnBadFile,
    RadarSweeps,
    SensorInputs,
    SweepSelection,
    stop_at_bad_file,
)
from avjepa.errors import BadFileError

TIME_TOLERANCE = 0.1
"""Seconds that a record between keyframes may be away from its moment. LiDAR turns at 20 Hz, cameras run at 12 Hz,
radars at 13 Hz, so that the nearest record is at most .05 s away unless something is missing."""


class SampleLoader:
    """Loads moments of a dataset.

    Args:
        index: the dataset.
        on_bad_file: called with every bad file.
    """

    def __init__(self, index: DatasetIndex, on_bad_file: OnBadFile = stop_at_bad_file) -> None:
        self.index = index
        self.on_bad_file = on_bad_file

    def load(
        self, moment: int, view: SensorInputs, seed: int = 0, known: tuple[SensorInputs, Sample] | None = None
    ) -> Sample:
        """The sensors' data of a moment, without labels.

        Args:
            moment: number of the moment in the index.
            view: what to load.
            seed: becomes ``Sample.seed``.
            known: another view of the same moment; sensors that both views treat alike are taken from it.

        Raises:
            BadFileError: if ``on_bad_file`` raises it.
        """
        reference = int(self.index.moment_record[moment])
        other, sample = known or (SensorInputs(), None)
        return Sample(
            token=self.index.moment_token(moment),
            scene=self.index.scene_names[self.index.scene_of(reference)],
            timestamp=int(self.index.record_timestamp[reference]),
            seed=seed,
            global_from_level=self.index.global_from_level(reference),
            bev_from_level=torch.eye(4),
            lidar=sample.lidar if sample and view.lidar == other.lidar else self._lidar(moment, view.lidar),
            radar=sample.radar if sample and view.radar == other.radar else self._radar(moment, view.radar),
            cameras=sample.cameras if sample and view.camera == other.camera else self._cameras(moment, view.camera),
        )

    def _lidar(self, moment: int, view: LidarSweeps | None) -> Float[Tensor, "point 6"] | None:
        if view is None or not len(records := self._records(moment, view)):
            return None
        newest = self._newest(moment, self.index.sensors.lidar)
        clouds = [torch.zeros(0, len(LIDAR_FIELDS))]
        for record, bev_from_lidar, lag in self._chain(records, moment):
            try:
                clouds.append(lidar_in_bev(read_lidar(self.index.file(record)), bev_from_lidar, lag))
            except BadFileError as error:
                self.on_bad_file(error, record in newest)
        return torch.cat(clouds) if len(clouds) > 1 else None  # not one sweep could be read

    def _radar(self, moment: int, view: RadarSweeps | None) -> Float[Tensor, "point 16"] | None:
        if view is None or not len(records := self._records(moment, view)):
            return None
        newest = self._newest(moment, self.index.sensors.radars)
        clouds = [torch.zeros(0, len(RADAR_FIELDS))]
        for record, bev_from_radar, lag in self._chain(records, moment):
            try:
                points = read_radar(self.index.file(record))
            except BadFileError as error:
                self.on_bad_file(error, record in newest)
            else:
                clouds.append(radar_in_bev(points[view.keep.keeps(points)], bev_from_radar, lag))
        return torch.cat(clouds) if len(clouds) > 1 else None  # not one sweep could be read

    def _cameras(self, moment: int, view: ImageTransform | None) -> CameraImages | None:
        if view is None:
            return None
        found = [self.index.at_moment(moment, channel, TIME_TOLERANCE) for channel in self.index.sensors.cameras]
        records = np.array([record for record in found if record is not None], np.int64)
        if not len(records):
            return None
        images = [torch.zeros(0, 3, view.height, view.width, dtype=torch.uint8)]
        intrinsics = [torch.zeros(0, 3, 3)]
        poses = [torch.zeros(0, 4, 4)]
        channels: list[str] = []
        for record, bev_from_camera, _ in self._chain(records, moment):
            try:
                height, width = self.index.record_size[record].tolist()
                image, here_from_file = view.read(self.index.file(record), (height, width))
            except BadFileError as error:
                self.on_bad_file(error, True)
                continue
            images.append(image[None])
            intrinsics.append((here_from_file @ self.index.intrinsic(record)).float()[None])
            poses.append(bev_from_camera.float()[None])
            channels.append(self.index.channel_of(record))
        if not channels:
            return None
        return CameraImages(
            torch.cat(images), torch.cat(intrinsics), torch.cat(poses), tuple(channels), self.index.sensors.cameras
        )

    def _records(self, moment: int, view: LidarSweeps | RadarSweeps) -> Int64[Array, "sweep"]:
        """Records that make up a cloud: of each channel the reference sweep first."""
        channels = self.index.sensors.lidar if isinstance(view, LidarSweeps) else self.index.sensors.radars
        own = [self._of_channel(moment, view, channel) for channel in channels]
        return np.concatenate(own) if own else np.zeros(0, np.int64)

    def _of_channel(self, moment: int, view: SweepSelection, channel: str) -> Int64[Array, "sweep"]:
        """Records of a channel, the reference sweep first. Sweeps beyond the ends of the scene are left out."""
        reference = self.index.at_moment(moment, channel, TIME_TOLERANCE)
        if reference is None:
            return np.zeros(0, np.int64)
        scene = self.index.records(channel, self.index.scene_of(reference))
        oldest = reference - view.sweeps + 1
        chosen: Array = np.concatenate(
            (
                np.arange(reference, oldest - 1, -1),
                oldest - view.stride * np.arange(1, view.before + 1),
                reference + view.stride * np.arange(1, view.after + 1),
            )
        )
        return chosen[(chosen >= scene.start) & (chosen < scene.stop)]

    def _newest(self, moment: int, channels: Sequence[str]) -> set[int | None]:
        """Of each channel the record that is the moment's own."""
        return {self.index.at_moment(moment, channel, TIME_TOLERANCE) for channel in channels}

    def _chain(self, records: Int64[Array, "record"], moment: int) -> list[tuple[int, Tensor, float]]:
        """Every record with its ``bev_from_sensor`` and its age in seconds."""
        reference = int(self.index.moment_record[moment])
        transforms = self.index.level_from_sensor(records, reference)
        lags = (self.index.record_timestamp[reference] - self.index.record_timestamp[records]) * 1e-6
        return list(zip(records.tolist(), transforms.unbind(), lags.tolist(), strict=True))
