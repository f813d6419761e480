"""Scoring a result file of the detection task: by the devkit where it can, else by the equal evaluator of our own."""

import time
from pathlib import Path

from rich.console import Console

from avjepa.data.nuscenes.dataset import NuScenesDataset
from avjepa.data.nuscenes.devkit_needs import unfit_for_devkit
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError, counted
from avjepa.evaluate.detection.fast import MAXIMUM_BOXES, FastDetectionEval
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
        UserError: a file is missing or not in its format, the samples are not those of the split, or the data set
            is not in nuScenes format.
    """
    source, split = scored.source, scored.split
    if not isinstance(source, NuScenesDataset):
        raise UserError(f"{source.name}: detections are scored on data sets in nuScenes format alone")
    index, taxonomy = source.index, source.taxonomy
    result = read_result_file(predictions, taxonomy)
    tokens = [index.sample_token(int(row)) for row in index.samples(index.scenes_of(split))]
    result.arranged(tokens, MAXIMUM_BOXES)
    console = Console()
    if not source.has_labels():
        _say_nothing_to_score(console, out, split, "the dataset has no annotations")
        return None
    truth = GroundTruth.of_split(index, source.annotations, taxonomy, split)
    if not len(truth.boxes):
        _say_nothing_to_score(console, out, split, _what_is_annotated(truth))
        return None
    started = time.monotonic()
    scores, evaluator = _scored(result, truth, index, taxonomy, split, fast)
    notes = []
    if without := len(scored.without_input):
        seen = len(tokens) - without
        notes.append(f"the score stands on {seen} of {counted(len(tokens), 'sample')}; no sensor data in the others")
    if not truth.knows_attributes:
        notes.append("attributes are unknown, so NDS is without their error")
    about = {
        "version": index.version,
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
    wide.print(scores.table(f"{index.version} {split}: {counted(len(tokens), 'sample')}"))
    for note in (f"scored by {evaluator}", *notes):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return scores


def _what_is_annotated(truth: GroundTruth) -> str:
    if not truth.annotations:
        return "it has no annotations"
    return f"of {truth.annotations} annotated boxes none is of a class, in range and hit by a LiDAR or radar point"


def _say_nothing_to_score(console: Console, out: Path, split: str, reason: str) -> None:
    (out / METRICS).unlink(missing_ok=True)  # of predictions that are no longer there
    console.print(f"split {split}: nothing to score: {reason}", markup=False, highlight=False, soft_wrap=True)


def _scored(
    result: ResultFile, truth: GroundTruth, index: DatasetIndex, taxonomy: Taxonomy, split: str, fast: bool
) -> tuple[DetectionScores, str]:
    """The scores, and by what and why."""
    if fast:
        reason = "as was asked"
    elif not (reason := unfit_for_devkit(index, taxonomy, split)):
        from avjepa.evaluate.detection.devkit import CONFIG, DevkitError, devkit_scores  # takes seconds to load

        try:
            scores = devkit_scores(result.path, index.dataroot, index.version, truth.sample_tokens, taxonomy.classes)
        except DevkitError as error:
            reason = f"the devkit cannot: {error}"
        else:
            return scores, f"nuscenes-devkit {CONFIG}"
    return FastDetectionEval(truth, taxonomy).evaluate(result), f"avjepa's own evaluator ({reason})"
