"""The conditions under which a model is scored: every subset of its sensors, and what goes wrong with them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from avjepa.data.channels import SensorChannels
from avjepa.data.degradation import (
    BlurredImages,
    DeadCameras,
    Degradation,
    FewerBeams,
    Late,
    LidarSector,
    Miscalibrated,
    NightImages,
    RadarsOnly,
)
from avjepa.data.degradation.points import beams_in
from avjepa.data.protocol import DrivingDataset
from avjepa.data.sensor_inputs import LETTERS, LidarSweeps, Sensor, SensorInputs, letters_of
from avjepa.errors import UserError

NONE = "none"


@dataclass(frozen=True)
class Condition:
    """What a model is shown.

    Attributes:
        sensors: of the model's.
        name: of the degradation, ``none`` for none.
        degradation: of these sensors.
    """

    sensors: tuple[Sensor, ...]
    name: str = NONE
    degradation: Degradation | None = None

    @property
    def letters(self) -> str:
        """The sensors as ``C+L+R``."""
        return letters_of(self.sensors)

    @property
    def folder(self) -> str:
        """Where its results lie."""
        return f"{self.letters}_{self.name}".replace(" ", "_")


def conditions(sensors: Sequence[Sensor], channels: SensorChannels, beams: int) -> list[Condition]:
    """All subsets of a model's sensors, all of them first; then all sensors with each degradation that concerns one.

    Args:
        sensors: of the model; at least one.
        channels: of the data.
        beams: of the LiDAR, see ``beams_of``.
    """
    subsets = [
        Condition(chosen)
        for size in range(len(sensors), 0, -1)
        for chosen in itertools.combinations([name for name in LETTERS if name in sensors], size)
    ]
    cameras, beams = len(channels.cameras), max(1, beams)
    degradations: list[tuple[Sensor, str, Degradation]] = [
        ("camera", "one camera dead", DeadCameras(1)),
        ("camera", "half of the cameras dead", DeadCameras(max(1, cameras // 2))),
        ("camera", "night", NightImages()),
        ("camera", "blur", BlurredImages()),
        ("camera", "camera 100 ms late", Late("camera")),
        ("lidar", "half of the LiDAR beams", FewerBeams(max(1, beams // 2), beams)),
        ("lidar", "4 LiDAR beams", FewerBeams(min(4, beams), beams)),
        ("lidar", "LiDAR within 60 degrees", LidarSector(60.0)),
        ("lidar", "LiDAR 100 ms late", Late("lidar")),
        ("radar", "front radar only", RadarsOnly(1)),
        ("radar", "radar 100 ms late", Late("radar")),
    ]
    full = subsets[0].sensors
    found = [Condition(full, name, what) for sensor, name, what in degradations if sensor in sensors]
    return [*subsets, *found, Condition(full, "calibration off by 1 degree and 10 cm", Miscalibrated())]


def beams_of(source: DrivingDataset) -> int:
    """The beams of a data set's LiDAR, see ``beams_in``, by its first keyframe that has a cloud; 0 where none has."""
    keyframes = source.moments(keyframes_only=True)
    for moment in keyframes[source.recorded("lidar")[keyframes]][:1].tolist():
        cloud = source.read(moment, (SensorInputs(lidar=LidarSweeps()),)).lidar
        return 0 if cloud is None else beams_in(cloud.points)
    return 0


def unmeasurable(condition: Condition, source: DrivingDataset) -> str:
    """Why a data set cannot show a condition; empty if it can."""
    if isinstance(condition.degradation, Late):
        try:
            condition.degradation.check(source)
        except UserError as error:
            return str(error)
    if isinstance(condition.degradation, FewerBeams) and condition.degradation.recorded < 2:
        return f"{source.name}: its LiDAR points do not say which beam they are of, in the column ring"
    return ""
