"""A sensor whose data come too late and are taken for new."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avjepa.data.degradation.base import Degradation
from avjepa.data.moment import Moment, SweepStack
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import MomentReader
from avjepa.data.sensor_inputs import Sensor, SensorInputs
from avjepa.errors import UserError
from avjepa.ranges import require_number

_RECORDED = 0.9
"""Share of the moments between keyframes that have data of a sensor which records between them."""
_TOLERANCE = 2.5
"""How many times as old as asked for the moment may be that is taken."""


@dataclass(frozen=True)
class Late(Degradation):
    """A sensor that gives what it saw some time ago, seen from where the vehicle was then; nobody makes up for it.

    At the beginning of a scene it gives nothing yet.

    Args:
        sensor: lidar, camera or radar.
        seconds: age; the newest moment that is at least so old is taken.
    """

    sensor: Sensor
    seconds: float = 0.1

    def __post_init__(self) -> None:
        require_number("Late.seconds", self.seconds, above=0, at_most=10)

    def read(
        self, moment: int, inputs: Sequence[SensorInputs], reader: MomentReader, source: DrivingDataset, seed: int
    ) -> Moment:
        """See ``Degradation.read``."""
        self.check(source)
        now = reader.read(moment, inputs)
        before = self.earlier(moment, source)
        if before is None:
            return self._given_nothing(now)
        then = reader.read(before, [own.of((self.sensor,)) for own in inputs])
        bad = (
            *(file for file in now.bad if file.sensor != self.sensor),
            *(file for file in then.bad if file.sensor == self.sensor),
        )
        match self.sensor:
            case "lidar":
                return replace(now, bad=bad, lidar=then.lidar)
            case "radar":
                return replace(now, bad=bad, radar=then.radar)
            case "camera":
                return replace(now, bad=bad, cameras=then.cameras)

    def _given_nothing(self, now: Moment) -> Moment:
        """A moment at which the sensor has given nothing yet."""
        bad = tuple(file for file in now.bad if file.sensor != self.sensor)
        match self.sensor:
            case "lidar":
                return replace(now, bad=bad, lidar=None if now.lidar is None else _nothing_of(now.lidar))
            case "radar":
                return replace(now, bad=bad, radar={keep: _nothing_of(stack) for keep, stack in now.radar.items()})
            case "camera":
                return replace(now, bad=bad, cameras=dict.fromkeys(now.cameras))

    def check(self, source: DrivingDataset) -> None:
        """Raise unless the data set has data of the sensor between its keyframes, or keyframes that follow so closely.

        Raises:
            UserError: it has them at keyframes alone, so nothing is known of the time before one.
        """
        between = np.setdiff1d(source.moments(), source.moments(keyframes_only=True))
        if len(between) == 0 and self._follow_closely(source):
            between = source.moments()
        if len(between) == 0 or source.recorded(self.sensor)[between].mean() < _RECORDED:
            raise UserError(
                f"{source.name}: has no {self.sensor} data between its keyframes, so none can be shown "
                f"{self.seconds:g} s late"
            )

    def _follow_closely(self, source: DrivingDataset) -> bool:
        """Whether every sweep is a keyframe, seen in the first scene."""
        moments = source.moments(list(source.scene_names[:1])).tolist()
        apart = np.diff([source.time_of(moment) for moment in moments]) * 1e-6
        return len(apart) > 0 and float(np.median(apart)) <= _TOLERANCE * self.seconds

    def earlier(self, moment: int, source: DrivingDataset) -> int | None:
        """The newest moment of the scene that is old enough; ``None`` where there is none.

        Raises:
            UserError: the moments before are too far apart: the data set has nothing between its keyframes.
        """
        scene, time = source.scene_of(moment), source.time_of(moment)
        before = moment - 1
        while before >= 0 and source.scene_of(before) == scene:
            age = (time - source.time_of(before)) * 1e-6
            if age >= self.seconds - 1e-3:
                if age > _TOLERANCE * self.seconds:
                    raise UserError(
                        f"{source.name}: has no moment between {self.seconds:g} s and {_TOLERANCE * self.seconds:g} s "
                        f"before {source.token_of(moment)}; a sensor cannot be shown late where nothing lies between "
                        "keyframes"
                    )
                return before
            before -= 1
        return None


def _nothing_of(stack: SweepStack) -> SweepStack:
    return SweepStack(stack.points[:0], {})
