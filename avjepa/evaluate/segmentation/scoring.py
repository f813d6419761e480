"""Scoring a result file of BEV segmentation."""

import math
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError, counted
from avjepa.evaluate.segmentation.result_file import SegmentationFile, read_segmentations
from avjepa.evaluate.segmentation.scores import THRESHOLDS, ClassIoU, IoUCounter, mean
from avjepa.evaluate.segmentation.truth import SegmentationTruth
from avjepa.files import write_json
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.task import METRICS, ScoredSplit
from avjepa.progress import with_bar


def evaluate_segmentation(
    predictions: Path, scored: ScoredSplit, out: Path, classes: SegmentedClasses
) -> dict[str, ClassIoU]:
    """Score a result file; print a table and write ``metrics.json``.

    Intersection and union are summed over the split. Samples without a prediction count as empty maps; keyframes of
    which nothing was recorded do not count. A class that the data set cannot tell of is left out, and that is said.

    Args:
        predictions: the result file; every sample of the split has an entry.
        scored: dataset, classes and split.
        out: folder of ``metrics.json``; created if need be.
        classes: what was segmented.

    Returns:
        By class; nothing where there is nothing to score. Then no ``metrics.json`` is left in ``out``.

    Raises:
        UserError: the file is missing or not in its format, or its samples or classes are not those of the split.
    """
    source, split, console = scored.source, scored.split, Console()
    truth = SegmentationTruth.of(source, source.scenes_of(split), classes)
    file = read_segmentations(predictions)
    scores = _scores(file, truth, source, split)
    notes = list(truth.notes)
    if not scores:
        (out / METRICS).unlink(missing_ok=True)  # of predictions that are no longer there
        notes.append(f"split {split}: no segmentation to score")
        _say(console, notes)
        return {}
    samples = len(file.tokens)
    if without := len(scored.without_input):
        seen = samples - without
        notes.append(f"the score stands on {seen} of {counted(samples, 'sample')}; no sensor data in the others")
    means = mean([score.usual for score in scores.values()]), mean([score.best for score in scores.values()])
    usual, best = (None if math.isnan(value) else value for value in means)
    write_json(
        out / METRICS,
        {
            "mean_iou": usual,
            "mean_best_iou": best,
            "classes": {name: score.as_json() for name, score in scores.items()},
            "thresholds": list(THRESHOLDS),
            "minimum_visibility": classes.minimum_visibility,
            "version": source.version,
            "split": split,
            "samples": samples,
            "samples_without_input": without,
            "predictions": predictions.name,
            "notes": notes,
            "sensors": list(file.sensors),
        },
    )
    console.print(_table(f"{source.version} {split}: {counted(samples, 'sample')}", scores, means))
    _say(console, notes)
    return scores


def segmentation_scores(predictions: Path, scored: ScoredSplit, classes: SegmentedClasses) -> dict[str, ClassIoU]:
    """The scores of a result file by class, without a word; nothing where there is nothing to score.

    Raises:
        UserError: see ``evaluate_segmentation``.
    """
    truth = SegmentationTruth.of(scored.source, scored.source.scenes_of(scored.split), classes)
    return _scores(read_segmentations(predictions), truth, scored.source, scored.split)


def counts_by_scene(
    file: SegmentationFile, truth: SegmentationTruth, source: DrivingDataset, scenes: list[str]
) -> dict[str, IoUCounter]:
    """What a result file says of the classes of the truth, counted scene by scene.

    Raises:
        UserError: its samples are not those of the scenes, it lacks a class, or a map is damaged.
    """
    assert truth.classes is not None and file.grid is not None, "there is nothing to score"
    if missing := set(source.keyframe_tokens(scenes)) ^ set(file.tokens):
        raise UserError(
            f"{file.path}: its samples are not those of the split ({counted(len(missing), 'sample')} in one of the two "
            "only); predict this split of this dataset again"
        )
    names = truth.classes.names
    said = file.classes.names
    if unknown := [name for name in names if name not in said]:
        raise UserError(f"{file.path}: holds no class {unknown[0]!r}; predict again with the task that is scored")
    rows = [said.index(name) for name in names]
    counters = {scene: IoUCounter(len(names)) for scene in scenes}
    maps = zip(truth.scenes, file.maps(truth.tokens), truth.maps(file.grid), strict=True)
    for scene, found, target in with_bar(maps, "counting cells", len(truth.tokens)):
        probability = None if found is None else found.probability[rows]
        counters[scene].add(probability, target.present[0], target.known[0])
    return counters


def _scores(
    file: SegmentationFile, truth: SegmentationTruth, source: DrivingDataset, split: str
) -> dict[str, ClassIoU]:
    if truth.classes is None or file.grid is None:
        return {}
    whole = IoUCounter(len(truth.classes.names))
    for counter in counts_by_scene(file, truth, source, source.scenes_of(split)).values():
        whole.include(counter)
    return dict(zip(truth.classes.names, whole.scores(), strict=True))


def _table(title: str, scores: dict[str, ClassIoU], means: tuple[float, float]) -> Table:
    """Scores by class in per cent, their means in the last row."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class")
    for heading in ("IoU at .50", "best IoU", "at", "cells"):
        table.add_column(heading, justify="right")
    for name, score in scores.items():
        figures = _figure(score.usual), _figure(score.best), f"{score.threshold:.2f}", f"{score.present:,}"
        table.add_row(name, *figures)
    table.add_section()
    table.add_row("mean", *map(_figure, means), "", "")
    return table


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def _say(console: Console, notes: list[str]) -> None:
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
