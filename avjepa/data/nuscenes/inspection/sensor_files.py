"""Every sensor file is looked for, and some of them are opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.pointfiles import read_radar
from avjepa.data.files.regular import size_of_file
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.clouds import CloudFacts, cloud_facts, cloud_findings
from avjepa.data.nuscenes.inspection.report import NOT_USED, ChannelReport, Finding
from avjepa.data.nuscenes.inspection.sampling import spread
from avjepa.errors import BadFileError

_LIDAR_POINT = 20  # bytes


@dataclass(frozen=True)
class ChannelFiles:
    """What was found of one channel."""

    report: ChannelReport
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    bad: tuple[int, ...]
    """Records whose file is missing or cannot be read."""


def kind_of(sensors: SensorChannels, channel: str) -> str:
    """``lidar``, ``camera``, ``radar``, or ``not used``: what a channel is read as."""
    kinds = (("lidar", sensors.lidar), ("camera", sensors.cameras), ("radar", sensors.radars))
    return next((kind for kind, channels in kinds if channel in channels), NOT_USED)


def channel_of_tables(index: DatasetIndex, channel: str) -> ChannelFiles:
    """What the tables alone say of a channel."""
    return ChannelFiles(_report(index, channel, _records(index, channel)), (), (), ())


def channel_files(
    index: DatasetIndex, channel: str, open_at_most: int | None, on_file: Callable[[], object]
) -> ChannelFiles:
    """Look for every file of a channel, and open some.

    Args:
        index: the dataset.
        channel: one of its channels. Files of one that is not used are looked for and not opened.
        open_at_most: how many files are opened, beside those whose size is suspicious; all for ``None``.
        on_file: called after every file that was looked for.
    """
    records = _records(index, channel)
    kind = kind_of(index.sensors, channel)
    problems: list[Finding] = []
    bad: list[int] = []
    present: list[int] = []
    suspicious: set[int] = set()
    for record in records.tolist():
        path = index.file(record)
        on_file()
        try:
            size = size_of_file(path)
        except BadFileError as error:
            problems.append(_of_file(index, path, error.problem))
            bad.append(record)
            continue
        present.append(record)
        if kind == "lidar" and size == 0:
            problems.append(_of_file(index, path, "the file holds no points"))
        elif kind == "lidar" and size % _LIDAR_POINT:
            suspicious.add(record)
    chosen = {present[position] for position in spread(len(present), open_at_most)} if kind != NOT_USED else set()
    counts: list[int] = []
    facts: list[CloudFacts] = []
    clouds: list[Path] = []
    opened = 0
    for record in [record for record in present if record in chosen or record in suspicious]:
        path = index.file(record)
        try:
            if kind == "lidar":
                facts.append(cloud_facts(path))
                clouds.append(path)
                counts.append(facts[-1].points)
            elif kind == "radar":
                counts.append(len(read_radar(path)))
            else:
                height, width = index.record_size[record].tolist()
                ImageTransform(1, 1).read(path, (height, width))
        except BadFileError as error:
            problems.append(_of_file(index, path, error.problem))
            bad.append(record)
        else:
            opened += 1
    report = _report(index, channel, records, len(present), opened, counts)
    return ChannelFiles(report, tuple(problems), tuple(cloud_findings(channel, clouds, facts)), tuple(bad))


def _records(index: DatasetIndex, channel: str) -> Int64[Array, "record"]:
    groups = [np.asarray(index.records(channel, scene), np.int64) for scene in range(len(index.scene_names))]
    return np.concatenate([np.zeros(0, np.int64), *groups])


def _report(
    index: DatasetIndex,
    channel: str,
    records: Int64[Array, "record"],
    present: int | None = None,
    opened: int = 0,
    counts: list[int] | None = None,
) -> ChannelReport:
    height, width = index.record_size[records].astype(np.int64).T
    sizes, number = np.unique((height << 32) + width, return_counts=True)
    images = {f"{size % 2**32} x {size >> 32}": n for size, n in zip(sizes.tolist(), number.tolist(), strict=True)}
    keyframes = int(index.record_is_key[records].sum())
    return ChannelReport(
        channel=channel,
        sensor=kind_of(index.sensors, channel),
        keyframes=keyframes,
        sweeps=len(records) - keyframes,
        present=present,
        opened=opened,
        image_sizes={size: n for size, n in images.items() if size != "0 x 0"},
        points=(min(counts), float(np.median(counts)), max(counts)) if counts else None,
    )


def _of_file(index: DatasetIndex, path: Path, problem: str) -> Finding:
    return Finding(path.relative_to(index.dataroot).as_posix(), problem)
