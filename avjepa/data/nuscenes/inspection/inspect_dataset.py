"""The one pass over a dataset: tables, files, plausibility, verdicts."""

from collections import Counter
from pathlib import Path

import numpy as np

from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.boxes import box_findings, without_points
from avjepa.data.nuscenes.inspection.counted_points import counted_points_findings
from avjepa.data.nuscenes.inspection.coverage import (
    class_findings,
    missing_tables,
    unrecorded_keyframes,
    unused_channels,
)
from avjepa.data.nuscenes.inspection.poses import pose_findings
from avjepa.data.nuscenes.inspection.report import DatasetReport, Finding
from avjepa.data.nuscenes.inspection.sensor_files import ChannelFiles, channel_files, channel_of_tables
from avjepa.data.nuscenes.inspection.times import repeated_keyframes, time_findings
from avjepa.data.nuscenes.inspection.verdicts import Obstacles, blocked, verdicts
from avjepa.data.nuscenes.splits import shared_scenes
from avjepa.data.nuscenes.tables import TableProblem, version_folder
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError, counted
from avjepa.progress import progress_bar


def inspect_dataset(
    dataroot: str | Path,
    version: str,
    *,
    sensors: SensorChannels = NUSCENES_CHANNELS,
    taxonomy: str = "nuscenes",
    files: bool = True,
    opened_per_channel: int | None = 200,
) -> DatasetReport:
    """Read the tables, look at every file's existence and into some files, and judge what can be done with it all.

    Progress is shown on stderr.

    Args:
        dataroot: root of a dataset in nuScenes format.
        version: name of its folder of tables.
        sensors: the channels that training would read.
        taxonomy: name or file of the classes that training would teach.
        files: whether to look at the sensor files at all.
        opened_per_channel: files of each channel that are read, spread evenly over the dataset; all for ``None``.

    Raises:
        UserError: no such folder or version, or a table without which nothing can be said is missing or broken.
    """
    folder = version_folder(dataroot, version)
    index, broken, problems = _index(Path(dataroot), version, sensors)
    annotations, broken_annotations, no_annotations, found = _annotations(index, taxonomy)
    problems += [*found, *repeated_keyframes(index), *unrecorded_keyframes(index)]
    splits, found = _splits(index)
    problems += found
    channels = _channels(index, opened_per_channel) if files else [channel_of_tables(index, c) for c in index.channels]
    problems += [finding for channel in channels for finding in channel.problems]
    warnings = [*missing_tables(index), *unused_channels(index), *time_findings(index), *pose_findings(index)]
    warnings += [finding for channel in channels for finding in channel.warnings]
    classes = load_taxonomy(taxonomy)
    if annotations is not None:
        warnings += [*class_findings(index, annotations, classes), *without_points(index, annotations)]
        warnings += box_findings(index, annotations)
        warnings += counted_points_findings(index, annotations) if files else []
    bad = np.array([record for channel in channels for record in channel.bad], np.int64)
    obstacles = Obstacles(
        broken, broken_annotations, no_annotations, bad, annotations is None and AnnotationIndex.is_there(index)
    )
    judged = verdicts(index, annotations, splits, obstacles)
    return DatasetReport(
        dataroot=str(dataroot),
        version=folder.name,
        scenes=len(index.scene_names),
        keyframes=len(index.sample_timestamp),
        moments=len(index),
        splits={name: len(scenes) for name, scenes in splits.items()},
        channels=tuple(channel.report for channel in channels),
        boxes=None if annotations is None else _boxes(annotations, classes.classes),
        instances=None if annotations is None else len(set(annotations.instance.tolist())),
        problems=tuple(problems),
        warnings=tuple(warnings),
        verdicts=judged,
        blocked=blocked(judged, problems, obstacles),
    )


def _index(dataroot: Path, version: str, sensors: SensorChannels) -> tuple[DatasetIndex, int, list[Finding]]:
    """The index without its broken records, how many those are, and what is wrong with the tables."""
    index = DatasetIndex.open(dataroot, version, sensors, keep_broken=True)
    found = index.problems
    return index, sum(problem.blocks for problem in found), [_finding(problem) for problem in found]


def _annotations(index: DatasetIndex, taxonomy: str) -> tuple[AnnotationIndex | None, int, str, list[Finding]]:
    """The annotations without broken records, how many those are, why there are none to use, and what is wrong."""
    if not AnnotationIndex.is_there(index):
        return None, 0, "there are no annotation tables", []
    classes = load_taxonomy(taxonomy)
    try:
        annotations = AnnotationIndex.open(index, classes, keep_broken=True)
    except UserError as error:
        where = f"{index.version}/sample_annotation.json"
        return None, 0, "the annotation tables cannot be read", [Finding(where, str(error))]
    found = annotations.problems
    return annotations, sum(problem.blocks for problem in found), "", [_finding(problem) for problem in found]


def _finding(problem: TableProblem) -> Finding:
    return Finding(f"{problem.table} record {problem.record}", problem.problem)


def _splits(index: DatasetIndex) -> tuple[dict[str, list[str]], list[Finding]]:
    """The splits that hold scenes, and what is wrong with them."""
    where = f"{index.version}/splits.json"
    try:
        splits = {name: scenes for name, scenes in index.splits.items() if scenes}
    except UserError as error:
        return {}, [Finding(where, str(error))]
    shared = shared_scenes(splits).items()
    said = [f"{pair} share {counted(len(names), 'scene')}, {names[0]} for one" for pair, names in shared]
    return splits, [Finding(where, problem) for problem in said]


def _channels(index: DatasetIndex, opened_per_channel: int | None) -> list[ChannelFiles]:
    with progress_bar("looking at files", len(index.record_timestamp)) as advance:
        return [channel_files(index, channel, opened_per_channel, lambda: advance(1)) for channel in index.channels]


def _boxes(annotations: AnnotationIndex, classes: tuple[str, ...]) -> dict[str, int]:
    number = Counter(annotations.class_index.tolist())
    return {name: number[row] for row, name in enumerate(classes)} | {"other categories": number[-1]}
