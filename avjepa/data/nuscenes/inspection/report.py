"""The answer of ``inspect_dataset``: plain values, printed by ``rendering`` or written as JSON."""

import json
from dataclasses import asdict, dataclass, field

from avjepa.data.inspection.check import Check

NOT_USED = "not used"
"""``ChannelReport.sensor`` of a channel that the channel mapping does not name."""


@dataclass(frozen=True)
class Finding:
    """One thing that is broken, missing or not plausible."""

    where: str
    """A file below the data root, or a table and a record's token."""
    problem: str


@dataclass(frozen=True)
class ChannelReport:
    """One sensor's files."""

    channel: str
    sensor: str
    """``lidar``, ``camera``, ``radar``, or ``not used``: what the channel mapping makes of it."""
    keyframes: int
    sweeps: int
    """Files between keyframes."""
    present: int | None
    """Files that exist, of both kinds; ``None`` where only the tables were read."""
    opened: int
    """Files that were read for the figures below and found good."""
    image_sizes: dict[str, int] = field(default_factory=dict)
    """Number of files by "width x height", as the table says."""
    points: tuple[int, float, int] | None = None
    """Least, median and greatest number of points of the opened files."""


@dataclass(frozen=True)
class Verdict:
    """What a command will do with a split."""

    command: str
    split: str
    outcome: str
    """``runs``; ``stops`` at a bad file, unless those are skipped; ``refuses``; ``nothing`` to score."""
    why: str


@dataclass(frozen=True)
class DatasetReport:
    """What a dataset holds, what is broken in it, and what can be done with it."""

    dataroot: str
    version: str
    scenes: int
    keyframes: int
    moments: int
    """Moments that samples can be made from: keyframes and LiDAR sweeps between them."""
    splits: dict[str, int]
    """Number of scenes by split."""
    channels: tuple[ChannelReport, ...]
    boxes: dict[str, int] | None
    """Number of boxes by class, and of "other categories"; ``None`` without annotation tables."""
    instances: int | None
    problems: tuple[Finding, ...]
    """What is broken or missing."""
    warnings: tuple[Finding, ...]
    """What can be read, but is not plausible or not used."""
    verdicts: tuple[Verdict, ...]
    blocked: str
    """What is broken and stops a training, in one line; empty if nothing is."""
    checks: tuple[Check, ...] = ()
    """What labels and points mean, asked through the protocol."""

    @property
    def unused_channels(self) -> tuple[str, ...]:
        """Channels that are recorded and that no command reads."""
        return tuple(channel.channel for channel in self.channels if channel.sensor == NOT_USED)

    def to_json(self) -> str:
        """All of it as JSON, every finding included."""
        return json.dumps(asdict(self), indent=2)
