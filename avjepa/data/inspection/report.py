"""The answer of ``avjepa inspect`` for a data set that has no tables of its own to be checked."""

import json
from dataclasses import asdict, dataclass

from avjepa.data.inspection.check import Check
from avjepa.data.protocol import DrivingDataset


@dataclass(frozen=True)
class LabelReport:
    """How much there is, and what was found by asking through the protocol."""

    dataroot: str
    version: str
    scenes: int
    keyframes: int
    moments: int
    channels: dict[str, str]
    """Every recorded channel, and what it is used as."""
    checks: tuple[Check, ...]
    blocked: str = ""
    """What is broken and stops a training: a data set that was opened has nothing of the kind."""

    @classmethod
    def of(cls, dataset: DrivingDataset, checks: tuple[Check, ...]) -> "LabelReport":
        """The report of a data set that was opened."""
        named = dataset.channels
        used = {channel: "lidar" for channel in named.lidar}
        used |= {channel: "camera" for channel in named.cameras} | {channel: "radar" for channel in named.radars}
        return cls(
            dataroot=str(dataset.dataroot),
            version=dataset.version,
            scenes=len(dataset.scene_names),
            keyframes=len(dataset.moments(keyframes_only=True)),
            moments=len(dataset),
            channels={channel: used.get(channel, "not used") for channel in dataset.recorded_channels},
            checks=checks,
        )

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self), indent=2)
