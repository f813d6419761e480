"""What was read of one moment, once, and the samples that are made of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from avjepa.data.channels import SensorChannels
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.radar import RadarFilter
from avjepa.data.sample import CameraImages, Sample
from avjepa.data.sensor_inputs import Sensor, SensorInputs, SweepSelection
from avjepa.errors import BadFileError

SweepKey: TypeAlias = tuple[str, int]
"""A sweep of a moment: its channel, and its place seen from the channel's reference sweep, see
``SweepSelection.offsets``."""


@dataclass(frozen=True)
class SweepStack:
    """The sweeps of all channels of a sensor, one after the other in one tensor."""

    points: Float[Tensor, "point field"]
    """In the level frame of the moment."""
    rows: Mapping[SweepKey, slice]
    """Which points are whose; a sweep that was not recorded, or could not be read, is not there."""

    def cloud(self, channels: Iterable[str], selection: SweepSelection) -> Float[Tensor, "selected field"] | None:
        """The points of some sweeps, channel by channel; ``None`` if there is not one of the sweeps."""
        keys = ((channel, offset) for channel in channels for offset in selection.offsets())
        parts = [self.rows[key] for key in keys if key in self.rows]
        if not parts:
            return None
        if all(one.stop == next_.start for one, next_ in pairwise(parts)):
            return self.points[parts[0].start : parts[-1].stop]
        return torch.cat([self.points[part] for part in parts])


@dataclass(frozen=True)
class BadInput:
    """A sensor file of a moment that could not be read."""

    sensor: Sensor
    channel: str
    offset: int
    """As in ``SweepKey``; 0 is the moment's own."""
    error: BadFileError


@dataclass(frozen=True)
class Moment:
    """A moment as its sensors gave it: every file was read once, however many samples are made of it."""

    token: str
    scene: str
    timestamp: int
    global_from_level: Float64[Tensor, "4 4"]
    lidar: SweepStack | None
    radar: Mapping[RadarFilter, SweepStack]
    cameras: Mapping[ImageTransform, CameraImages | None]
    bad: tuple[BadInput, ...] = ()
    """What is left out."""

    def sample(self, inputs: SensorInputs, channels: SensorChannels, seed: int) -> Sample:
        """A sample of some of the inputs that the moment was read for; it may share memory with others."""
        lidar, radar, camera = inputs.lidar, inputs.radar, inputs.camera
        return Sample(
            token=self.token,
            scene=self.scene,
            timestamp=self.timestamp,
            seed=seed,
            global_from_level=self.global_from_level,
            bev_from_level=torch.eye(4),
            lidar=None if lidar is None or self.lidar is None else self.lidar.cloud(channels.lidar, lidar),
            radar=None if radar is None else self.radar[radar.keep].cloud(channels.radars, radar),
            cameras=None if camera is None else self.cameras[camera],
        )


def all_offsets(selections: Sequence[SweepSelection]) -> tuple[int, ...]:
    """The sweeps that any of the selections has, those of the first one first, so that it lies in one piece."""
    return tuple(dict.fromkeys(offset for selection in selections for offset in selection.offsets()))
