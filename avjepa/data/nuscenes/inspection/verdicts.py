"""What pre-training, fine-tuning and scoring will do with each split, said before they start."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int32, Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.devkit_needs import unfit_for_devkit
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.report import Finding, Verdict
from avjepa.data.nuscenes.map_masks import MapMasks
from avjepa.data.nuscenes.moment_files import TIME_TOLERANCE
from avjepa.errors import counted


@dataclass(frozen=True)
class Obstacles:
    """What was found that stops commands.

    Args:
        broken_records: records of the tables without annotations that no command accepts.
        broken_annotations: such records of the annotation tables.
        no_annotations: why there are none to use; empty if there are.
        bad_files: records of sample_data whose file is missing or cannot be read.
        unreadable_annotations: whether there are annotation tables that cannot be read at all.
    """

    broken_records: int
    broken_annotations: int
    no_annotations: str
    bad_files: Int64[Array, "record"]
    unreadable_annotations: bool = False


def verdicts(
    index: DatasetIndex, annotations: AnnotationIndex | None, splits: dict[str, list[str]], obstacles: Obstacles
) -> tuple[Verdict, ...]:
    """Three verdicts for each split, or for all scenes where there is no split."""
    kinds = {"LiDAR": index.sensors.lidar, "cameras": index.sensors.cameras, "radars": index.sensors.radars}
    recorded = {kind: index.recorded(channels, TIME_TOLERANCE) for kind, channels in kinds.items()}
    if not splits:
        no_split = f"there is no split; write {index.version}/splits.json"
        return (
            _on_all(_pretraining(index, recorded, "all scenes", list(index.scene_names), obstacles)),
            Verdict("finetune", "–", "refuses", no_split),
            Verdict("evaluate", "–", "refuses", no_split),
        )
    found: list[Verdict] = []
    for split, scenes in splits.items():
        found.append(_pretraining(index, recorded, split, scenes, obstacles))
        found.append(_finetuning(index, recorded, annotations, split, scenes, obstacles))
        found.append(_scoring(index, annotations, split, scenes, obstacles))
    return tuple(found)


def blocked(found: Sequence[Verdict], problems: Sequence[Finding], obstacles: Obstacles) -> str:
    """What is broken and stops a training: records, annotation tables or files, or no split has data to pre-train on.

    That there are no labels, no split or no box is no fault of the data: it takes part of the commands away.
    """
    broken = obstacles.broken_records or obstacles.broken_annotations or obstacles.unreadable_annotations
    idle = all(verdict.outcome == "refuses" for verdict in found if verdict.command == "pretrain")
    if not broken and not idle and not any(verdict.outcome == "stops" for verdict in found):
        return ""
    if problems:
        more = f" (and {counted(len(problems) - 1, 'more problem')})" if len(problems) > 1 else ""
        return f"{problems[0].where}: {problems[0].problem}{more}"
    return next(f"{v.command} on {v.split}: {v.why}" for v in found if v.outcome in ("refuses", "stops"))


def _on_all(verdict: Verdict) -> Verdict:
    return replace(verdict, why=f"with --data.split null, as there is no split: {verdict.why}")


def _pretraining(
    index: DatasetIndex,
    recorded: dict[str, Bool[Array, "moment"]],
    split: str,
    scenes: list[str],
    obstacles: Obstacles,
) -> Verdict:
    if obstacles.broken_records:
        return Verdict("pretrain", split, "refuses", _broken(obstacles.broken_records))
    some = _by_sensor(recorded, index.moments(scenes))
    if not some:
        why = "no moment has data of a channel that is read; map channels to sensors"
        return Verdict("pretrain", split, "refuses", why)
    return _unless_files_are_bad(Verdict("pretrain", split, "runs", f"moments: {some}"), index, scenes, obstacles)


def _by_sensor(recorded: dict[str, Bool[Array, "moment"]], moments: Int64[Array, "chosen"]) -> str:
    """How many of some moments have data of each sensor, in words; empty if none has any."""
    numbers = {kind: int(found[moments].sum()) for kind, found in recorded.items()}
    return ", ".join(f"{number:,} with {kind}" for kind, number in numbers.items() if number)


def _finetuning(
    index: DatasetIndex,
    recorded: dict[str, Bool[Array, "moment"]],
    annotations: AnnotationIndex | None,
    split: str,
    scenes: list[str],
    obstacles: Obstacles,
) -> Verdict:
    stopped = _stopped(annotations, obstacles)
    if annotations is None or stopped:
        return Verdict("finetune", split, "refuses", stopped)
    keyframes = index.moments(scenes, keyframes_only=True)
    boxes = _boxes(annotations, index.record_sample[index.moment_record[keyframes]])
    some = _by_sensor(recorded, keyframes)
    if not some:
        return Verdict(
            "finetune", split, "refuses", "no keyframe has data of a channel that is read; map channels to sensors"
        )
    if not boxes.all:
        return Verdict("finetune", split, "refuses", "no box is annotated: nothing would be taught")
    if not boxes.counted + boxes.uncounted:
        reason = "holds a point" if boxes.of_class else "has a category that the taxonomy maps to a class"
        return Verdict(
            "finetune", split, "refuses", f"none of {counted(boxes.all, 'box')} {reason}: nothing would be taught"
        )
    why = f"{counted(len(scenes), 'scene')}, keyframes: {some}; {boxes.said('taught')}"
    if unmapped := MapMasks(index).lacking(scenes):
        why += f"; no drivable area, as {counted(len(unmapped), 'scene')} ({unmapped[0]} for one) has no map mask"
    return _unless_files_are_bad(Verdict("finetune", split, "runs", why), index, scenes, obstacles)


def _scoring(
    index: DatasetIndex, annotations: AnnotationIndex | None, split: str, scenes: list[str], obstacles: Obstacles
) -> Verdict:
    if obstacles.broken_records or obstacles.broken_annotations:
        return Verdict("evaluate", split, "refuses", _stopped(annotations, obstacles))
    samples = index.samples(scenes)
    boxes = None if annotations is None else _boxes(annotations, samples)
    if annotations is None or boxes is None or not boxes.counted + boxes.uncounted:
        why = (
            f"none of {counted(boxes.all, 'box')} is of a class and holds a point" if boxes and boxes.all else "no box"
        )
        return Verdict("evaluate", split, "nothing", f"{why}: predictions are written, there is nothing to score")
    unfit = unfit_for_devkit(index, annotations.taxonomy, split)
    by = f"by avjepa's own evaluator ({unfit})" if unfit else "by the devkit"
    why = f"{counted(len(samples), 'keyframe')}, {boxes.said('scored')} {by}"
    recorded = index.record_sample[index.moment_record[index.moments(scenes, keyframes_only=True)]]
    if missing := len(np.setdiff1d(samples, recorded)):
        why += f"; empty predictions for {counted(missing, 'keyframe')} without data"
    return _unless_files_are_bad(Verdict("evaluate", split, "runs", why), index, scenes, obstacles)


@dataclass(frozen=True)
class _Boxes:
    """Numbers of boxes of a split."""

    all: int
    of_class: int
    counted: int
    """Of a class, with a point of LiDAR or radar, as training and scoring ask for."""
    uncounted: int
    """Of a class, and nobody knows whether they hold a point."""

    def said(self, done: str) -> str:
        """How many boxes are taught or scored, in words."""
        more = f", and those of {self.uncounted:,} in which points are found when they are loaded"
        return counted(self.counted, f"{done} box") + (more if self.uncounted else "")


def _boxes(annotations: AnnotationIndex, samples: Int64[Array, "sample"] | Int32[Array, "sample"]) -> _Boxes:
    rows = np.flatnonzero(np.isin(annotations.sample, samples))
    lidar, radar = annotations.lidar_points[rows], annotations.radar_points[rows]
    hit = (lidar > 0) | (radar > 0)
    unknown = ~hit & ((lidar < 0) | (radar < 0))
    of_class = annotations.class_index[rows] >= 0
    return _Boxes(len(rows), int(of_class.sum()), int((of_class & hit).sum()), int((of_class & unknown).sum()))


def _unless_files_are_bad(
    verdict: Verdict, index: DatasetIndex, scenes: Sequence[str], obstacles: Obstacles
) -> Verdict:
    rows = [index.scene_names.index(name) for name in scenes]
    bad = obstacles.bad_files[np.isin(index.sample_scene[index.record_sample[obstacles.bad_files]], rows)]
    if not len(bad):
        return verdict
    channels = Counter(index.channel_of(record) for record in bad.tolist())
    listed = ", ".join(f"{number:,} of {channel}" for channel, number in channels.items())
    why = f"bad files ({listed}), unless --on-bad-file skip leaves them out; {verdict.why}"
    return Verdict(verdict.command, verdict.split, "stops", why)


def _stopped(annotations: AnnotationIndex | None, obstacles: Obstacles) -> str:
    """Why nothing that needs labels starts; empty if it does."""
    broken = obstacles.broken_records + obstacles.broken_annotations
    return _broken(broken) if broken else obstacles.no_annotations if annotations is None else ""


def _broken(number: int) -> str:
    return f"{counted(number, 'broken record')} of the tables (see the problems)"
