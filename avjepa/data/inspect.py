"""What a dataset holds, and what in it is broken or missing, file by file."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.nuscenes.annotations import AnnotationIndex, build_annotations
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.index_tables import build_index
from avjepa.data.nuscenes.splits import shared_scenes
from avjepa.data.nuscenes.tables import TableProblem, version_folder
from avjepa.data.taxonomy import Taxonomy, load_taxonomy
from avjepa.errors import BadFileError, UserError

_PROBLEMS_SHOWN = 40


@dataclass(frozen=True)
class ChannelReport:
    """One sensor's files."""

    channel: str
    keyframes: int
    sweeps: int
    """Files between keyframes."""
    present: int
    """Files that exist, of both kinds."""
    opened: int
    """Files that were read for the figures below and found good."""
    image_sizes: dict[str, int] = field(default_factory=dict)
    """Number of files by "width x height", as the table says."""
    points: tuple[int, float, int] | None = None
    """Least, median and greatest number of points of the opened files."""


@dataclass(frozen=True)
class Problem:
    """One thing that is broken or missing."""

    where: str
    """A file below the data root, or a table and a record's token."""
    problem: str


@dataclass(frozen=True)
class DatasetReport:
    """The answer of ``inspect_dataset``. Printing it with rich gives tables."""

    dataroot: str
    version: str
    scenes: int
    keyframes: int
    moments: int
    """Moments that samples can be made from: keyframes and LiDAR sweeps between them."""
    splits: dict[str, int]
    """Number of scenes by split."""
    channels: tuple[ChannelReport, ...]
    unused_channels: tuple[str, ...]
    """Channels that the mapping of channels to sensors does not name, so that nothing reads them."""
    boxes: dict[str, int] | None
    """Number of boxes by detection class, and of "other categories"; ``None`` without annotation tables."""
    instances: int | None
    problems: tuple[Problem, ...]

    def to_json(self) -> str:
        """All of it as JSON, every problem included."""
        return json.dumps(asdict(self), indent=2)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(
            f"{self.dataroot} · {self.version}\n"
            f"{self.scenes} scenes, {self.keyframes} keyframes, {self.moments} moments"
        )
        yield Text("splits: " + (", ".join(f"{k} ({n} scenes)" for k, n in self.splits.items()) or "none"))
        sensors = Table("channel", "keyframes", "sweeps", "present", "opened", "holds", box=box.SIMPLE)
        for channel in self.channels:
            holds = ", ".join(f"{size} pixels ({n})" for size, n in channel.image_sizes.items())
            if channel.points:
                holds += "{} / {:.0f} / {} points".format(*channel.points)
            counts = (channel.keyframes, channel.sweeps, channel.present, channel.opened)
            sensors.add_row(channel.channel, *map(str, counts), holds)
        yield sensors
        if self.unused_channels:
            yield Text(f"not used: {', '.join(self.unused_channels)} (--channels FILE maps channels to sensors)")
        if self.boxes is None:
            yield Text("no annotations")
        else:
            boxes = Table("class", "boxes", caption=f"{self.instances} instances", box=box.SIMPLE)
            for name, number in self.boxes.items():
                boxes.add_row(name, str(number))
            yield boxes
        yield Text(f"{len(self.problems)} problems" + (":" if self.problems else ""))
        for problem in self.problems[:_PROBLEMS_SHOWN]:
            yield Text(f"  {problem.where}: {problem.problem}", no_wrap=True, overflow="ignore")
        if len(self.problems) > _PROBLEMS_SHOWN:
            yield Text(f"  … and {len(self.problems) - _PROBLEMS_SHOWN} more; --json lists them all")


def inspect_dataset(
    dataroot: str | Path,
    version: str,
    opened_per_channel: int | None = 200,
    sensors: SensorChannels = NUSCENES_CHANNELS,
    taxonomy: str = "nuscenes",
) -> DatasetReport:
    """Read the tables and look at every file's existence, and into some files.

    Args:
        dataroot: root of a dataset in nuScenes format.
        version: name of its folder of tables.
        opened_per_channel: files of each channel that are read, spread evenly over the dataset; all for ``None``.
        sensors: the channels that training would read; the others are listed as unused.
        taxonomy: name or file of the classes that training would know.

    Raises:
        UserError: no such folder or version, or a table without which nothing can be said is missing or broken.
    """
    folder = version_folder(dataroot, version)
    found: list[TableProblem] = []
    index = DatasetIndex(Path(dataroot), version, sensors, build_index(folder, sensors, found.append))
    sensors.check(index.channels, folder)
    problems = [Problem(f"{p.table} record {p.record}", p.problem) for p in found]
    recorded = set(index.record_sample.tolist())
    for sample in range(len(index.sample_timestamp)):
        if sample not in recorded:
            problems.append(Problem(f"{version}/sample.json record {index.sample_token(sample)}", "has no sensor data"))
    channels = []
    for channel in index.channels:
        report, bad = _channel(index, channel, opened_per_channel)
        channels.append(report)
        problems += bad
    boxes, instances, bad = _boxes(index, folder, load_taxonomy(taxonomy))
    try:
        splits = {name: len(scenes) for name, scenes in index.splits.items() if scenes}
        for pair, scenes in shared_scenes(index.splits).items():
            bad.append(Problem(f"{version}/splits.json", f"{pair} share {len(scenes)} scenes, {scenes[0]} for one"))
    except UserError as error:
        splits = {}
        bad.append(Problem(f"{version}/splits.json", str(error)))
    return DatasetReport(
        dataroot=str(dataroot),
        version=version,
        scenes=len(index.scene_names),
        keyframes=len(index.sample_timestamp),
        moments=len(index),
        splits=splits,
        channels=tuple(channels),
        unused_channels=sensors.unused(index.channels),
        boxes=boxes,
        instances=instances,
        problems=(*problems, *bad),
    )


def _channel(index: DatasetIndex, channel: str, open_at_most: int | None) -> tuple[ChannelReport, list[Problem]]:
    records = [record for scene in range(len(index.scene_names)) for record in index.records(channel, scene)]
    problems: list[Problem] = []
    present: list[int] = []
    for record in records:
        path = index.file(record)
        try:
            size = path.stat().st_size
        except OSError:
            problems.append(_of_file(index, path, "the file is missing"))
            continue
        present.append(record)
        if path.name.endswith(".bin") and size == 0:
            problems.append(_of_file(index, path, "the file holds no points"))
    counts: list[int] = []
    opened = 0
    chosen = set(_spread(present, open_at_most))
    for record in present:
        path = index.file(record)
        truncated = path.name.endswith(".pcd.bin") and path.stat().st_size % 20
        if record not in chosen and not truncated:
            continue
        try:
            points = _read(path, tuple(int(v) for v in index.record_size[record]))
        except BadFileError as error:
            problems.append(_of_file(index, path, error.problem))
            continue
        opened += 1
        if points is not None:
            counts.append(points)
    sizes = Counter(f"{width} x {height}" for height, width in index.record_size[records].tolist() if width)
    keyframes = int(index.record_is_key[records].sum())
    report = ChannelReport(
        channel=channel,
        keyframes=keyframes,
        sweeps=len(records) - keyframes,
        present=len(present),
        opened=opened,
        image_sizes=dict(sizes),
        points=(min(counts), float(np.median(counts)), max(counts)) if counts else None,
    )
    return report, problems


def _read(path: Path, size: tuple[int, ...]) -> int | None:
    """Number of points of a file; ``None`` for an image. Raises ``BadFileError``."""
    if path.name.endswith(".pcd.bin"):
        return len(read_lidar(path))
    if path.suffix == ".pcd":
        return len(read_radar(path))
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        ImageTransform(1, 1).read(path, (size[0], size[1]))
    return None


def _of_file(index: DatasetIndex, path: Path, problem: str) -> Problem:
    return Problem(path.relative_to(index.dataroot).as_posix(), problem)


def _spread(records: list[int], at_most: int | None) -> Iterator[int]:
    if at_most is None or len(records) <= at_most:
        return iter(records)
    return (records[position] for position in np.linspace(0, len(records) - 1, at_most).astype(int))


def _boxes(
    index: DatasetIndex, folder: Path, taxonomy: Taxonomy
) -> tuple[dict[str, int] | None, int | None, list[Problem]]:
    if not (folder / "sample_annotation.json").exists():
        return None, None, []
    found: list[TableProblem] = []
    try:
        annotations = AnnotationIndex(index, taxonomy, build_annotations(folder, index, found.append))
    except UserError as error:
        return None, None, [Problem(f"{folder.name}/sample_annotation.json", str(error))]
    number = Counter(annotations.class_index.tolist())
    boxes = {name: number[row] for row, name in enumerate(taxonomy.classes)} | {"other categories": number[-1]}
    problems = [Problem(f"{p.table} record {p.record}", p.problem) for p in found]
    return boxes, len(set(annotations.instance.tolist())), problems
