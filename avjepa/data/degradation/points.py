"""LiDARs and radars that see less."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avjepa.data.channels import SensorChannels
from avjepa.data.degradation.base import ChangedMoment
from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.moment import Moment, SweepStack
from avjepa.errors import UserError
from avjepa.ranges import require_number

_RING = LIDAR_FIELDS.index("ring")


@dataclass(frozen=True)
class FewerBeams(ChangedMoment):
    """A LiDAR with some of its beams, spread evenly over those that it has.

    Args:
        beams: how many are left.
        recorded: how many it has, numbered from 0 in the column ``ring`` of its points.
    """

    beams: int
    recorded: int

    def __post_init__(self) -> None:
        require_number("FewerBeams.beams", self.beams, at_least=1, at_most=self.recorded)

    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """See ``ChangedMoment.changed``."""
        step = self.recorded / self.beams
        left = torch.tensor([int((place + 0.5) * step) for place in range(self.beams)])
        return _with_lidar(moment, lambda points: torch.isin(points[:, _RING].long(), left))


def beams_in(points: Float[Tensor, "point field"]) -> int:
    """The number of beams of the LiDAR that gave these points: 16, 32, or more as they are; 0 where no point says.

    Fewer than 16, and fewer than 32, are taken for a LiDAR some of whose beams met nothing.

    Args:
        points: columns ``LIDAR_FIELDS``.
    """
    highest = int(points[:, _RING].max()) if len(points) else 0
    return 0 if highest == 0 else max(16 if highest < 16 else 32, highest + 1)


@dataclass(frozen=True)
class LidarSector(ChangedMoment):
    """A LiDAR that sees forward only.

    Args:
        degrees: largest azimuth to either side, seen from the vehicle's origin.
    """

    degrees: float = 60.0

    def __post_init__(self) -> None:
        require_number("LidarSector.degrees", self.degrees, above=0, at_most=180)

    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """See ``ChangedMoment.changed``."""
        most = math.radians(self.degrees)
        return _with_lidar(moment, lambda points: torch.atan2(points[:, 1], points[:, 0]).abs() <= most)


@dataclass(frozen=True)
class RadarsOnly(ChangedMoment):
    """All radars but the first ones are dead.

    Args:
        radars: how many of the radars are left, in the order of the channels.
    """

    radars: int = 1

    def __post_init__(self) -> None:
        require_number("RadarsOnly.radars", self.radars, at_least=1)

    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """See ``ChangedMoment.changed``."""
        left = channels.radars[: self.radars]
        if not left:
            raise UserError("RadarsOnly: no radar is named in the channels; name them under radars")
        radar = {
            keep: replace(stack, rows={key: rows for key, rows in stack.rows.items() if key[0] in left})
            for keep, stack in moment.radar.items()
        }
        return replace(moment, radar=radar)


def _with_lidar(moment: Moment, keeps: Callable[[Float[Tensor, "point field"]], Bool[Tensor, "point"]]) -> Moment:
    if moment.lidar is None:
        return moment
    stack, parts, rows, end = moment.lidar, [], {}, 0
    for key, own in stack.rows.items():
        points = stack.points[own]
        parts.append(points[keeps(points)])
        rows[key] = slice(end, end + len(parts[-1]))
        end = rows[key].stop
    return replace(moment, lidar=SweepStack(torch.cat(parts) if parts else stack.points[:0], rows))
