"""Which of a data set's channels is which kind of sensor."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from avjepa.data.strict_yaml import YamlFile
from avjepa.errors import UserError


@dataclass(frozen=True)
class SensorChannels:
    """The channels that are read. A kind of sensor that names none is not there.

    Args:
        lidar: LiDARs; a moment's cloud holds the points of all, and the time of the first one is the moment's.
        cameras: cameras, in the order of ``Cameras``.
        radars: radars.
    """

    lidar: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    radars: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.names()
        if not names:
            raise UserError("channels: no sensor is named; name channels under lidar, cameras or radars")
        if repeated := [name for place, name in enumerate(names) if name in names[:place]]:
            raise UserError(f"channels: {repeated[0]!r} is named twice; name every channel once")

    def digest(self) -> str:
        """A short name of the mapping, for what is cached of a data set that is read by it."""
        return hashlib.sha256(repr((self.lidar, self.cameras, self.radars)).encode()).hexdigest()[:8]

    def names(self) -> tuple[str, ...]:
        """All channels: LiDARs, cameras, radars."""
        return (*self.lidar, *self.cameras, *self.radars)

    def unused(self, recorded: Iterable[str]) -> tuple[str, ...]:
        """The channels of a data set that are not read."""
        return tuple(name for name in recorded if name not in self.names())

    def check(self, recorded: Sequence[str], where: object, *usual: "SensorChannels") -> None:
        """Hold the mapping to what a data set has.

        Raises:
            UserError: ``where`` lacks one of the channels. The usual ones, which nobody had to name, may be absent.
        """
        missing = [name for name in self.names() if name not in recorded]
        if missing and self not in usual:
            raise UserError(
                f"channels: {where} has no {missing[0]!r}; its channels are {', '.join(recorded) or 'none'}"
            )


NUSCENES_CHANNELS = SensorChannels(
    lidar=("LIDAR_TOP",),
    cameras=("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT"),
    radars=("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT"),
)
"""The sensors of nuScenes."""


def load_channels(path: str | Path | None) -> SensorChannels:
    """The mapping that a YAML file holds (lists of names under lidar, cameras, radars); nuScenes' for ``None``.

    Raises:
        UserError: the file cannot be read, or something in it is wrong: one line that names the key.
    """
    if path is None:
        return NUSCENES_CHANNELS
    kinds = [field.name for field in fields(SensorChannels)]
    file = YamlFile(Path(path), (), kinds)
    named = {kind: file.names(names, kind) for kind, names in file.content.items()}
    try:
        return SensorChannels(**named)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
