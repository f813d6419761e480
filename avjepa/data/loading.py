"""One moment's sensor data from the files, in the BEV frame of that moment."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.fields import CAMERA_CHANNELS, LIDAR_CHANNEL, LIDAR_FIELDS, RADAR_CHANNELS, RADAR_FIELDS
from avjepa.data.images import ImageTransform
from avjepa.data.index import DatasetIndex
from avjepa.data.lidar import lidar_in_bev
from avjepa.data.pointfiles import read_lidar, read_radar
from avjepa.data.radar import KEEP_ALL_RETURNS, RadarFilter, radar_in_bev
from avjepa.data.sample import CameraImages, Sample
from avjepa.errors import BadFileError, UserError

Sensor: TypeAlias = Literal["lidar", "camera", "radar"]

CHANNELS: dict[Sensor, tuple[str, ...]] = {
    "lidar": (LIDAR_CHANNEL,),
    "camera": CAMERA_CHANNELS,
    "radar": RADAR_CHANNELS,
}
"""The channels of each kind of sensor."""

TIME_TOLERANCE = 0.1
"""Seconds that a record between keyframes may be away from its moment. LiDAR turns at 20 Hz, cameras run at 12 Hz,
radars at 13 Hz, so that the nearest record is at most .05 s away unless something is missing."""


@dataclass(frozen=True)
class SensorView:
    """What to load of a moment.

    Args:
        sensors: kinds of sensors.
        lidar_sweeps: LiDAR sweeps up to the reference time, the reference sweep included.
        sweeps_before: further sweeps that end ``sweep_stride`` sweeps before the oldest of ``lidar_sweeps``.
        sweeps_after: sweeps after the reference time.
        sweep_stride: every how many recorded sweeps one of ``sweeps_before`` and ``sweeps_after`` is taken.
        radar_sweeps: sweeps of each radar, the one at the reference time included.
        images: size of the images.
        radar_filter: which radar returns to keep.
    """

    sensors: tuple[Sensor, ...] = ("lidar",)
    lidar_sweeps: int = 1
    sweeps_before: int = 0
    sweeps_after: int = 0
    sweep_stride: int = 1
    radar_sweeps: int = 6
    images: ImageTransform = field(default_factory=lambda: ImageTransform(256, 704))
    radar_filter: RadarFilter = KEEP_ALL_RETURNS

    def __post_init__(self) -> None:
        unknown = [name for name in self.sensors if name not in CHANNELS]
        if unknown or not self.sensors:
            raise UserError(f"sensors: {list(self.sensors)} must be some of {list(CHANNELS)}")
        for name in ("lidar_sweeps", "sweep_stride", "radar_sweeps"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("sweeps_before", "sweeps_after"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}: must not be negative, got {getattr(self, name)}")


def lidar_sweep_records(index: DatasetIndex, moment: int, view: SensorView) -> Int64[Array, "sweep"]:
    """LiDAR records of a moment: the newest of ``lidar_sweeps`` first, then those before, then those after.

    Sweeps beyond the ends of the scene are left out. Empty if the moment has no LiDAR.
    """
    reference = index.at_moment(moment, LIDAR_CHANNEL, TIME_TOLERANCE)
    if reference is None:
        return np.zeros(0, np.int64)
    scene = index.records(LIDAR_CHANNEL, index.scene_of(reference))
    oldest = reference - view.lidar_sweeps + 1
    before = oldest - view.sweep_stride * np.arange(1, view.sweeps_before + 1)
    after = reference + view.sweep_stride * np.arange(1, view.sweeps_after + 1)
    chosen = np.concatenate((np.arange(reference, oldest - 1, -1), before, after)).astype(np.int64)
    return chosen[(chosen >= scene.start) & (chosen < scene.stop)]


def radar_sweep_records(index: DatasetIndex, moment: int, view: SensorView) -> Int64[Array, "sweep"]:
    """Records of all radars of a moment, per radar the newest first. Empty if the moment has no radar."""
    chosen: list[int] = []
    for channel in RADAR_CHANNELS:
        newest = index.at_moment(moment, channel, TIME_TOLERANCE)
        if newest is not None:
            oldest = max(index.records(channel, index.scene_of(newest)).start, newest - view.radar_sweeps + 1)
            chosen.extend(range(newest, oldest - 1, -1))
    return np.array(chosen, np.int64)


def has_sensor(index: DatasetIndex, moment: int, sensor: Sensor) -> bool:
    """Whether a moment has a record of at least one channel of a sensor."""
    return any(index.at_moment(moment, channel, TIME_TOLERANCE) is not None for channel in CHANNELS[sensor])


OnBadFile: TypeAlias = Callable[[BadFileError], None]
"""Called with every bad file; a handler that returns has the file left out of the sample."""


def stop_at_bad_file(error: BadFileError) -> None:
    """The handler that leaves nothing out."""
    raise error


class SampleLoader:
    """Loads moments of a dataset."""

    def __init__(self, index: DatasetIndex, on_bad_file: OnBadFile = stop_at_bad_file) -> None:
        self.index = index
        self.on_bad_file = on_bad_file

    def load(self, moment: int, view: SensorView, seed: int = 0) -> Sample:
        """The sensors' data of a moment, without labels.

        Raises:
            BadFileError: if ``on_bad_file`` raises it.
        """
        reference = int(self.index.moment_record[moment])
        return Sample(
            token=self.index.moment_token(moment),
            scene=self.index.scene_names[self.index.scene_of(reference)],
            timestamp=int(self.index.record_timestamp[reference]),
            seed=seed,
            global_from_ego=self.index.global_from_ego(np.array([reference]))[0],
            bev_from_ego=torch.eye(4),
            lidar=self.lidar(moment, view) if "lidar" in view.sensors else None,
            radar=self.radar(moment, view) if "radar" in view.sensors else None,
            cameras=self.cameras(moment, view) if "camera" in view.sensors else None,
        )

    def lidar(self, moment: int, view: SensorView) -> Float[Tensor, "point 6"] | None:
        """Points (``LIDAR_FIELDS``) of all sweeps of the view."""
        records = lidar_sweep_records(self.index, moment, view)
        if not len(records):
            return None
        clouds = [torch.zeros(0, len(LIDAR_FIELDS))]
        for record, bev_from_lidar, lag in self._chain(records, moment):
            try:
                clouds.append(lidar_in_bev(read_lidar(self.index.file(record)), bev_from_lidar, lag))
            except BadFileError as error:
                self.on_bad_file(error)
        return torch.cat(clouds)

    def radar(self, moment: int, view: SensorView) -> Float[Tensor, "point 16"] | None:
        """Returns (``RADAR_FIELDS``) of all sweeps of all radars of the view."""
        records = radar_sweep_records(self.index, moment, view)
        if not len(records):
            return None
        clouds = [torch.zeros(0, len(RADAR_FIELDS))]
        for record, bev_from_radar, lag in self._chain(records, moment):
            try:
                points = read_radar(self.index.file(record))
            except BadFileError as error:
                self.on_bad_file(error)
                continue
            clouds.append(radar_in_bev(points[view.radar_filter.keeps(points)], bev_from_radar, lag))
        return torch.cat(clouds)

    def cameras(self, moment: int, view: SensorView) -> CameraImages | None:
        """The images of a moment; ``None`` if the dataset has none there."""
        records = [self.index.at_moment(moment, channel, TIME_TOLERANCE) for channel in CAMERA_CHANNELS]
        found = np.array([record for record in records if record is not None], np.int64)
        if not len(found):
            return None
        images: list[Tensor] = []
        intrinsics: list[Tensor] = []
        poses: list[Tensor] = []
        channels: list[str] = []
        for record, bev_from_camera, _ in self._chain(found, moment):
            try:
                image, here_from_file = view.images.read(self.index.file(record))
            except BadFileError as error:
                self.on_bad_file(error)
                continue
            images.append(image)
            intrinsics.append((here_from_file @ self.index.intrinsic(record)).float())
            poses.append(bev_from_camera.float())
            channels.append(self.index.channel_of(record))
        size = (0, 3, view.images.height, view.images.width)
        return CameraImages(
            torch.stack(images) if images else torch.zeros(size, dtype=torch.uint8),
            torch.stack(intrinsics) if intrinsics else torch.zeros(0, 3, 3),
            torch.stack(poses) if poses else torch.zeros(0, 4, 4),
            tuple(channels),
        )

    def _chain(self, records: Int64[Array, "record"], moment: int) -> list[tuple[int, Tensor, float]]:
        """Every record with its ``bev_from_sensor`` and its age in seconds."""
        reference = int(self.index.moment_record[moment])
        transforms = self.index.reference_from_sensor(records, reference)
        lags = (self.index.record_timestamp[reference] - self.index.record_timestamp[records]) * 1e-6
        return list(zip(records.tolist(), transforms.unbind(), lags.tolist(), strict=True))
