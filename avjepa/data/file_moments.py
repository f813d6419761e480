"""Moments that are read from one file for each sweep and image, whatever data set the files are of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.files.affine import Affine, MergedCloud
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.lidar import bev_from_lidar_file
from avjepa.data.files.point_fields import FIELDS
from avjepa.data.files.radar import RadarFilter, bev_from_radar_file
from avjepa.data.files.relative_radar import Motion, at_rest
from avjepa.data.moment import BadInput, Moment, SweepKey, SweepStack, all_offsets
from avjepa.data.sample import CameraImages
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.errors import BadFileError


@dataclass(frozen=True)
class SensorFile:
    """A file of a sensor, seen from a moment.

    Args:
        path: where it lies.
        level_from_sensor: pose of the sensor, at the time of the file, in the level frame of the moment.
        lag: age of the file at the moment (s); negative for one after it.
        camera: of an image, and ``None`` for others.
        motion: velocity of a radar at the time of the file; only asked for where the file does not compensate for it.
    """

    path: Path
    level_from_sensor: Float64[Array, "4 4"]
    lag: float
    camera: "CameraOfFile | None" = None
    motion: Motion = at_rest


@dataclass(frozen=True)
class CameraOfFile:
    """The camera that took an image.

    Args:
        intrinsic: camera matrix for the image as it lies in the file.
        size: (height, width) of the image in the file.
        horizon: height at which a level camera sees the horizon, as a share of the image's height from its top; an
            image that is too high for its frame is then cut around it, see ``ImageTransform.read``.
    """

    intrinsic: Float64[Tensor, "3 3"]
    size: tuple[int, int]
    horizon: float | None = None


class FileMoments(ABC):
    """A ``MomentReader`` that asks which files make up a moment, and reads each of them once."""

    @property
    @abstractmethod
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""

    @abstractmethod
    def token_of(self, moment: int) -> str:
        """A name of the moment that no other one has."""

    @abstractmethod
    def scene_of(self, moment: int) -> str:
        """Name of the moment's scene."""

    @abstractmethod
    def time_of(self, moment: int) -> int:
        """Reference time in microseconds."""

    @abstractmethod
    def global_from_level(self, moment: int) -> Float64[Tensor, "4 4"]:
        """Pose of the moment's level frame in the world."""

    @abstractmethod
    def files(self, moment: int, channels: Sequence[str], offsets: Sequence[int]) -> Mapping[SweepKey, SensorFile]:
        """The files of some channels that were recorded, channel by channel.

        Args:
            moment: whose they are.
            channels: which ones.
            offsets: places in a channel's record, seen from the file of the moment itself.
        """

    @abstractmethod
    def lidar_points(self, file: SensorFile) -> Float32[Array, "point 5"]:
        """Points of a LiDAR file (columns ``LIDAR_FILE_FIELDS``, sensor frame); raises ``BadFileError``."""

    @abstractmethod
    def radar_points(self, file: SensorFile) -> Float32[Array, "point 18"]:
        """Returns of a radar file (columns ``RADAR_FILE_FIELDS``, sensor frame); raises ``BadFileError``."""

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        """See ``MomentReader``; points and poses are in the level frame of the moment."""
        lidar = [own.lidar for own in inputs if own.lidar is not None]
        radar = [own.radar for own in inputs if own.radar is not None]
        images = dict.fromkeys(own.camera for own in inputs if own.camera is not None)
        bad: list[BadInput] = []
        return Moment(
            token=self.token_of(moment),
            scene=self.scene_of(moment),
            timestamp=self.time_of(moment),
            global_from_level=self.global_from_level(moment),
            lidar=self._lidar(moment, all_offsets(lidar), bad) if lidar else None,
            radar={
                keep: self._radar(moment, all_offsets([own for own in radar if own.keep == keep]), keep, bad)
                for keep in dict.fromkeys(own.keep for own in radar)
            },
            cameras={transform: self._cameras(moment, transform, bad) for transform in images},
            bad=tuple(bad),
        )

    def _lidar(self, moment: int, offsets: Sequence[int], bad: list[BadInput]) -> SweepStack:
        files = self.files(moment, self.channels.lidar, offsets)
        return _stacked("lidar", files, self.lidar_points, bev_from_lidar_file, bad)

    def _radar(self, moment: int, offsets: Sequence[int], keep: RadarFilter, bad: list[BadInput]) -> SweepStack:
        def read(file: SensorFile) -> Array:
            points = self.radar_points(file)
            return points[keep.keeps(points)]

        files = self.files(moment, self.channels.radars, offsets)
        return _stacked("radar", files, read, bev_from_radar_file, bad)

    def _cameras(self, moment: int, transform: ImageTransform, bad: list[BadInput]) -> CameraImages | None:
        images, intrinsics, poses, channels = [], [], [], []
        for key, file in self.files(moment, self.channels.cameras, (0,)).items():
            assert file.camera is not None, f"{file.path} is no image"
            try:
                image, here_from_file = transform.read(file.path, file.camera.size, file.camera.horizon)
            except BadFileError as error:
                bad.append(BadInput("camera", *key, error))
            else:
                images.append(image)
                intrinsics.append((here_from_file @ file.camera.intrinsic).float())
                poses.append(torch.from_numpy(file.level_from_sensor).float())
                channels.append(key[0])
        if not images:
            return None
        return CameraImages(
            torch.stack(images), torch.stack(intrinsics), torch.stack(poses), tuple(channels), self.channels.cameras
        )


def _stacked(
    sensor: Literal["lidar", "radar"],
    files: Mapping[SweepKey, SensorFile],
    read: Callable[[SensorFile], Array],
    affine: Callable[[Array, float], Affine],
    bad: list[BadInput],
) -> SweepStack:
    """The sweeps that can be read, one after the other."""
    cloud = MergedCloud(len(FIELDS[sensor]), len(files))
    rows: dict[SweepKey, slice] = {}
    for key, file in files.items():
        try:
            points = read(file)
        except BadFileError as error:
            bad.append(BadInput(sensor, *key, error))
        else:
            rows[key] = cloud.add(points, affine(file.level_from_sensor, file.lag))
    return SweepStack(cloud.points(), rows)
