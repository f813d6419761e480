"""What was recorded in a scene: its moments, and the files of every channel."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array


@dataclass(frozen=True)
class ChannelRecords:
    """The files of one channel in a scene, in order of time.

    Args:
        time: of each, in microseconds.
        files: their paths.
        global_from_sensor: pose of the sensor in the world at each time: ego pose times calibration.
        intrinsic: camera matrix for the images as they lie in the files; ``None`` for other sensors.
        size: (height, width) of the images.
        horizon: see ``CameraOfFile``.
    """

    time: Int64[Array, "record"]
    files: Sequence[Path]
    global_from_sensor: Float64[Array, "record 4 4"]
    intrinsic: Float64[Array, "3 3"] | None = None
    size: tuple[int, int] = (0, 0)
    horizon: float | None = None

    def nearest(self, time: int, tolerance: float) -> int | None:
        """The record nearest to a time (microseconds), if it is at most so many seconds away."""
        if not len(self.time):
            return None
        after = min(int(np.searchsorted(self.time, time)), len(self.time) - 1)
        place = min((max(after - 1, 0), after), key=lambda one: abs(int(self.time[one]) - time))
        return place if abs(int(self.time[place]) - time) <= tolerance * 1e6 else None

    def sensor_velocity(self, record: int) -> Float64[Array, "3"]:
        """Velocity of the sensor over ground, in its own frame (m/s): from the record before to the one after."""
        first, last = max(record - 1, 0), min(record + 1, len(self.time) - 1)
        duration = int(self.time[last] - self.time[first]) * 1e-6
        if duration <= 0:
            return np.zeros(3)
        moved = self.global_from_sensor[last, :3, 3] - self.global_from_sensor[first, :3, 3]
        velocity: Array = self.global_from_sensor[record, :3, :3].T @ moved / duration
        return velocity

    def near(self, times: Int64[Array, "moment"], tolerance: float) -> Bool[Array, "moment"]:
        """At which of some times ``nearest`` finds a record."""
        if not len(self.time):
            return np.zeros(len(times), np.bool_)
        after = np.minimum(np.searchsorted(self.time, times), len(self.time) - 1)
        before = np.maximum(after - 1, 0)
        away = np.minimum(np.abs(self.time[after] - times), np.abs(self.time[before] - times))
        result: Array = away <= tolerance * 1e6
        return result


class OnDemand(Mapping[str, ChannelRecords]):
    """Channels of which each is put together when it is asked for: who reads LiDAR waits for no camera.

    Args:
        makers: of each.
    """

    def __init__(self, makers: Mapping[str, Callable[[], ChannelRecords]]) -> None:
        self._makers = makers
        self._made: dict[str, ChannelRecords] = {}

    def __getitem__(self, name: str) -> ChannelRecords:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class TimedFiles(Sequence[Path]):
    """Files of a folder that are named by their times.

    Args:
        folder: where they lie.
        times: what each is named by.
        suffix: of all of them.
    """

    def __init__(self, folder: Path, times: Sequence[int], suffix: str) -> None:
        self.folder, self.times, self.suffix = folder, times, suffix

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> "TimedFiles": ...
    def __getitem__(self, place: int | slice) -> "Path | TimedFiles":
        if isinstance(place, slice):
            return TimedFiles(self.folder, self.times[place], self.suffix)
        return self.folder / f"{self.times[place]}{self.suffix}"

    def __len__(self) -> int:
        return len(self.times)

    def names(self) -> list[str]:
        """Names of all of them."""
        return [f"{time}{self.suffix}" for time in self.times]


@dataclass(frozen=True)
class SceneRecords:
    """One scene.

    Args:
        tokens: a name of every moment, which no other moment of the data set has, in order of time. Whatever samples
            are to be made from is a moment: every sweep of the first LiDAR, as a rule.
        time: of the moments, in microseconds.
        global_from_ego: pose of the vehicle in the world at each of them.
        channels: the files by channel.
        is_keyframe: which moments have labels, or are predicted and scored; all by default.
    """

    tokens: Sequence[str]
    time: Int64[Array, "moment"]
    global_from_ego: Float64[Array, "moment 4 4"]
    channels: Mapping[str, ChannelRecords]
    is_keyframe: Bool[Array, "moment"] | None = None

    def keyframes(self) -> Bool[Array, "moment"]:
        """Which moments are keyframes."""
        return np.ones(len(self.time), np.bool_) if self.is_keyframe is None else self.is_keyframe

    def digest(self) -> str:
        """SHA-256 of all of it but the folder in which the files lie."""
        digest = sha256()
        for values in (self.time, self.global_from_ego, self.keyframes()):
            digest.update(np.ascontiguousarray(values).data)
        digest.update("\n".join(self.tokens).encode())
        for name, own in sorted(self.channels.items()):
            files = own.files.names() if isinstance(own.files, TimedFiles) else [path.name for path in own.files]
            digest.update(f"{name} {own.size} {own.horizon} {files}".encode())
            for values in (own.time, own.global_from_sensor, np.zeros(0) if own.intrinsic is None else own.intrinsic):
                digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()
