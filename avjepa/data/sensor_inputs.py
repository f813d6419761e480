"""What to load of a moment: options, equal for every kind of data set."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from avjepa.data.channels import SensorChannels
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.radar import KEEP_ALL_RETURNS, RadarFilter
from avjepa.errors import BadFileError, UserError
from avjepa.ranges import require_number

_MOST = 10_000  # sweeps: the whole drive of an hour, and more than a computer holds

Sensor: TypeAlias = Literal["lidar", "camera", "radar"]
LETTERS: dict[Sensor, str] = {"camera": "C", "lidar": "L", "radar": "R"}


def letters_of(sensors: Collection[str]) -> str:
    """Sensors as tables name them: ``C+L+R``; others than those of ``LETTERS`` are left out."""
    return "+".join(letter for sensor, letter in LETTERS.items() if sensor in sensors)


@dataclass(frozen=True)
class SweepSelection:
    """Which sweeps of a sensor make up the cloud of a moment.

    Args:
        sweeps: sweeps up to the reference time, the reference sweep included.
        before: further sweeps, of which the newest lies ``stride`` before the oldest of ``sweeps``.
        after: sweeps after the reference time.
        stride: every how many recorded sweeps one of ``before`` and ``after`` is taken.
    """

    sensor: ClassVar[str]
    sweeps: int = 1
    before: int = 0
    after: int = 0
    stride: int = 1

    def __post_init__(self) -> None:
        require_number(f"data.{self.sensor}_sweeps", self.sweeps, at_least=1, at_most=_MOST)
        require_number("data.target_sweeps_before", self.before, at_least=0, at_most=_MOST)
        require_number("data.target_sweeps_after", self.after, at_least=0, at_most=_MOST)
        require_number("data.target_sweep_stride", self.stride, at_least=1, at_most=_MOST)

    def offsets(self) -> tuple[int, ...]:
        """The sweeps by their place in the record of a channel, seen from the reference sweep: it comes first (0), then
        older ones (negative), then those after it."""
        oldest = 1 - self.sweeps
        return (
            *range(0, oldest - 1, -1),
            *(oldest - self.stride * n for n in range(1, self.before + 1)),
            *(self.stride * n for n in range(1, self.after + 1)),
        )


@dataclass(frozen=True)
class LidarSweeps(SweepSelection):
    """Which LiDAR sweeps make up the cloud of a moment."""

    sensor = "lidar"


@dataclass(frozen=True)
class RadarSweeps(SweepSelection):
    """Which returns make up the radar points of a moment.

    Args:
        sweeps: sweeps of each radar up to the reference time, the one at the reference time included.
        keep: filter on the sensor's states.
    """

    sensor = "radar"
    sweeps: int = 6
    keep: RadarFilter = KEEP_ALL_RETURNS


@dataclass(frozen=True)
class SensorInputs:
    """What to load of a moment; ``None`` leaves the sensor out."""

    lidar: LidarSweeps | None = None
    radar: RadarSweeps | None = None
    camera: ImageTransform | None = None

    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors that are not left out."""
        parts: dict[Sensor, object] = {"lidar": self.lidar, "radar": self.radar, "camera": self.camera}
        return tuple(name for name, part in parts.items() if part is not None)

    def of(self, sensors: Collection[Sensor]) -> "SensorInputs":
        """Those of some of the sensors."""
        lidar, radar, camera = ("lidar" in sensors, "radar" in sensors, "camera" in sensors)
        return SensorInputs(
            self.lidar if lidar else None, self.radar if radar else None, self.camera if camera else None
        )


def channels_of(sensor: Sensor, channels: SensorChannels) -> tuple[str, ...]:
    """The channels of a sensor."""
    return {"lidar": channels.lidar, "radar": channels.radars, "camera": channels.cameras}[sensor]


def recorded_sensors(channels: SensorChannels, recorded: Sequence[str]) -> tuple[Sensor, ...]:
    """The sensors of which a data set has a channel."""
    sensors: tuple[Sensor, ...] = get_args(Sensor)
    return tuple(sensor for sensor in sensors if set(channels_of(sensor, channels)) & set(recorded))


def require_recorded(
    sensors: Iterable[Sensor],
    channels: SensorChannels,
    recorded: Sequence[str],
    where: str,
    remedy: str = "pass it as --data.channels FILE.yaml, or choose other sensors",
) -> None:
    """Raise unless a data set has a channel of every sensor.

    Args:
        sensors: those that are to be read.
        channels: which channels are which sensor's.
        recorded: the channels that the data set has.
        where: how a message calls it.
        remedy: what to do with a file of channels.

    Raises:
        UserError: naming the sensor, the channels there are, and the option that says which are which.
    """
    for sensor in sensors:
        wanted = channels_of(sensor, channels)
        if sensor not in recorded_sensors(channels, recorded):
            key = {"lidar": "lidar", "radar": "radars", "camera": "cameras"}[sensor]
            raise UserError(
                f"{where}: has no {sensor} channel ({' or '.join(wanted) or 'none is named'}); its channels are "
                f"{', '.join(recorded) or 'none'}; write a file with '{key}: [CHANNEL, ...]' (keys lidar, cameras, "
                f"radars) and {remedy}"
            )


OnBadFile: TypeAlias = Callable[[BadFileError, bool], None]
"""Called with every bad file, and whether it is of the moment itself rather than one of the further sweeps that thicken
a cloud. A handler that returns has the file left out of the sample."""


def stop_at_bad_file(error: BadFileError, of_the_moment: bool) -> None:
    """The handler that leaves nothing out."""
    raise error
