"""Scoring a result file of the detection task: by the devkit where it can, else by the equal evaluator of our own."""

import time
from pathlib import Path

from rich.console import Console

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import counted
from avjepa.evaluate.detection.fast import MAXIMUM_BOXES, OWN_EVALUATOR, FastDetectionEval
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.result_file import ResultFile, read_result_file
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.heads.task import METRICS, ScoredSplit


def evaluate_detection(predictions: Path, scored: ScoredSplit, out: Path, fast: bool = False) -> DetectionScores | None:
    """Score an official result file; print a table and write ``metrics.json``, which says by which evaluator.

    Args:
        predictions: JSON in the format of the nuScenes detection task; every sample of the split has an entry.
        scored: dataset, classes and split; samples without input are scored with what the file says, and counted.
        out: folder of ``metrics.json``; created if need be.
        fast: use our own evaluator even where the devkit can score.

    Returns:
        ``None`` where there is nothing to score: no annotated box counts. Then no ``metrics.json`` is left in ``out``.

    Raises:
        UserError: a file is missing or not in its format, or the samples are not those of the split.
    """
    source, split = scored.source, scored.split
    scenes = source.scenes_of(split)
    result = read_result_file(predictions, source.taxonomy)
    tokens = source.keyframe_tokens(scenes)
    result.arranged(tokens, MAXIMUM_BOXES)
    console = Console()
    if not source.has_labels():
        _say_nothing_to_score(console, out, split, "the dataset has no annotations")
        return None
    truth = GroundTruth.of(source.annotated_keyframes(scenes), source.taxonomy)
    if not len(truth.boxes):
        _say_nothing_to_score(console, out, split, _what_is_annotated(truth))
        return None
    started = time.monotonic()
    scores, evaluator = _scored(result, truth, source, split, fast)
    notes = []
    if without := len(scored.without_input):
        seen = len(tokens) - without
        notes.append(f"the score stands on {seen} of {counted(len(tokens), 'sample')}; no sensor data in the others")
    if not truth.knows_attributes:
        notes.append("attributes are unknown, so NDS is without their error")
    about = {
        "version": source.version,
        "split": split,
        "samples": len(tokens),
        "samples_without_input": len(scored.without_input),
        "boxes": len(truth.boxes),
        "predictions": predictions.name,
        "evaluator": evaluator,
        "notes": notes,
        "seconds": round(time.monotonic() - started, 3),
        "sensors": list(result.sensors),
    }
    scores.save(out / METRICS, **about)
    # narrower than this, names and figures are cut; a console prints no wider than it is
    wide = Console(file=console.file, width=max(console.width, 96))
    wide.print(scores.table(f"{source.version} {split}: {counted(len(tokens), 'sample')}"))
    for note in (f"scored by {evaluator}", *notes):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return scores


def own_scores(predictions: Path, scored: ScoredSplit) -> DetectionScores | None:
    """The scores of an official result file by our own evaluator; ``None`` where there is nothing to score.

    Raises:
        UserError: see ``evaluate_detection``.
    """
    source = scored.source
    if not source.has_labels():
        return None
    truth = GroundTruth.of(source.annotated_keyframes(source.scenes_of(scored.split)), source.taxonomy)
    result = read_result_file(predictions, source.taxonomy)
    return FastDetectionEval(truth, source.taxonomy).evaluate(result) if len(truth.boxes) else None


def _what_is_annotated(truth: GroundTruth) -> str:
    if not truth.annotations:
        return "it has no annotations"
    every = counted(truth.annotations, "annotated box")
    return f"of {every} none is of a class, in range and hit by a LiDAR or radar point"


def _say_nothing_to_score(console: Console, out: Path, split: str, reason: str) -> None:
    (out / METRICS).unlink(missing_ok=True)  # of predictions that are no longer there
    console.print(f"split {split}: nothing to score: {reason}", markup=False, highlight=False, soft_wrap=True)


def _scored(
    result: ResultFile, truth: GroundTruth, source: DrivingDataset, split: str, fast: bool
) -> tuple[DetectionScores, str]:
    """The scores, and by what and why."""
    if fast:
        reason = "as was asked"
    elif not (reason := source.unfit_for_devkit(split)):
        from avjepa.evaluate.detection.devkit import CONFIG, DevkitError, devkit_scores  # takes seconds to load

        classes = source.taxonomy.classes
        try:
            scores = devkit_scores(result.path, source.dataroot, source.version, truth.sample_tokens, classes)
        except DevkitError as error:
            reason = f"the devkit cannot: {error}"
        else:
            return scores, f"nuscenes-devkit {CONFIG}"
    return FastDetectionEval(truth, source.taxonomy).evaluate(result), f"{OWN_EVALUATOR} ({reason})"
