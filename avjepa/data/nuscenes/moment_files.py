"""Which files of the tables make up a moment, and how the points in them are read."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float32, Float64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.file_moments import CameraOfFile, FileMoments, SensorFile
from avjepa.data.files.lidar import without_vehicle
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.files.regular import Memory
from avjepa.data.moment import SweepKey
from avjepa.data.nuscenes.index import DatasetIndex

TIME_TOLERANCE = 0.1
"""Seconds that a record between keyframes may be away from its moment. LiDAR turns at 20 Hz, cameras run at 12 Hz,
radars at 13 Hz, so that the nearest record is at most .05 s away unless something is missing."""


class MomentFiles(FileMoments):
    """The moments of a dataset, and the files that they are read from.

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

    def token_of(self, moment: int) -> str:
        """The sample token of a keyframe, the sample_data token of a moment between keyframes."""
        return self.index.moment_token(moment)

    def scene_of(self, moment: int) -> str:
        """Name of the moment's scene."""
        return self.index.scene_names[self.index.scene_of(int(self.index.moment_record[moment]))]

    def time_of(self, moment: int) -> int:
        """Reference time in microseconds."""
        return int(self.index.record_timestamp[self.index.moment_record[moment]])

    def global_from_level(self, moment: int) -> Float64[Tensor, "4 4"]:
        """Pose of the moment's level frame in the world."""
        return self.index.global_from_level(int(self.index.moment_record[moment]))

    def files(self, moment: int, channels: Sequence[str], offsets: Sequence[int]) -> dict[SweepKey, SensorFile]:
        """See ``FileMoments``; the scene begins and ends somewhere."""
        index, found = self.index, dict[SweepKey, int]()
        for channel in channels:
            own = index.at_moment(moment, channel, TIME_TOLERANCE)
            if own is not None:
                scene = index.records(channel, index.scene_of(own))
                found |= {(channel, offset): own + offset for offset in offsets if own + offset in scene}
        if not found:
            return {}
        records = np.array(list(found.values()), np.int64)
        reference = int(index.moment_record[moment])
        poses = index.level_from_sensor(records, reference)
        lags = (index.record_timestamp[reference] - index.record_timestamp[records]) * 1e-6
        return {
            key: SensorFile(
                index.file(record), pose, lag, self._camera(record), partial(sensor_velocity, index, record)
            )
            for (key, record), pose, lag in zip(found.items(), poses, lags.tolist(), strict=True)
        }

    def lidar_points(self, file: SensorFile) -> Float32[Array, "point 5"]:
        """Points of a ``.pcd.bin`` or ``.pcd`` file, without those on the vehicle itself."""
        return without_vehicle(read_lidar(file.path, self._memory))

    def radar_points(self, file: SensorFile) -> Float32[Array, "point 18"]:
        """Returns of a radar ``.pcd`` file."""
        return read_radar(file.path, file.motion)

    def _camera(self, record: int) -> CameraOfFile | None:
        if self.index.channel_of(record) not in self.channels.cameras:
            return None
        height, width = self.index.record_size[record].tolist()
        return CameraOfFile(self.index.intrinsic(record), (height, width))


def sensor_velocity(index: DatasetIndex, record: int) -> Float64[Array, "3"]:
    """Velocity of a record's sensor over ground, in its own frame (m/s): from the record before to the one after."""
    channel = index.records(index.channel_of(record), index.scene_of(record))
    first, last = max(record - 1, channel.start), min(record + 1, channel.stop - 1)
    duration = int(index.record_timestamp[last] - index.record_timestamp[first]) * 1e-6
    if duration <= 0:
        return np.zeros(3)
    records = np.array([first, record, last], np.int64)
    pose = (index.global_from_ego(records) @ index.ego_from_sensor(records)).numpy()
    velocity: Array = pose[1, :3, :3].T @ (pose[2, :3, 3] - pose[0, :3, 3]) / duration
    return velocity
