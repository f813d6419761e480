"""BEV segmentation as a task."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.segmentation.result_file import FILE_NAME, entry, write_segmentations
from avjepa.evaluate.segmentation.scores import mean
from avjepa.evaluate.segmentation.scoring import evaluate_segmentation, segmentation_scores
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.head import SegmentationHead, SegmentationOptions
from avjepa.heads.segmentation.prediction import Segmentation
from avjepa.heads.task import METRICS, PredictionWriter, ScoredSplit, Scorer, Task
from avjepa.ranges import require_number


class SegmentationWriter(PredictionWriter[Segmentation]):
    """The result file of ``evaluate.segmentation.result_file``.

    Args:
        classes: what is segmented.
    """

    file_name = FILE_NAME

    def __init__(self, classes: SegmentedClasses) -> None:
        self.classes = classes

    def entries(self, batch: Batch, predictions: Sequence[Segmentation]) -> dict[str, Any]:
        """Maps of the level frame as pictures, by sample token."""
        return {token: entry(prediction) for token, prediction in zip(batch.tokens, predictions, strict=True)}

    def write(self, path: Path, entries: Mapping[str, bytes], tokens: Sequence[str], sensors: Sequence[str]) -> None:
        """See ``PredictionWriter.write``."""
        write_segmentations(path, self.classes, entries, tokens, sensors)


class SegmentationScorer(Scorer):
    """Intersection over union per class.

    Args:
        classes: what was segmented.
    """

    def __init__(self, classes: SegmentedClasses) -> None:
        self.classes = classes

    def score(self, predictions: Path, split: ScoredSplit, out: Path, fast: bool = False) -> Path | None:
        """See ``Scorer.score``; there is no official program."""
        return out / METRICS if evaluate_segmentation(predictions, split, out, self.classes) else None

    def figures(self, predictions: Path, split: ScoredSplit) -> dict[str, float]:
        """See ``Scorer.figures``: at a threshold of one half, of every class that occurs, and their mean."""
        scores = segmentation_scores(predictions, split, self.classes)
        named = {"mIoU": mean([score.usual for score in scores.values()])}
        named |= {f"IoU/{name}": score.usual for name, score in scores.items()}
        return {name: value for name, value in named.items() if not math.isnan(value)}


class SegmentationTask(Task[Segmentation]):
    """Maps of drivable ground and of objects' footprints.

    Args:
        head: makes them.
        loss_weight: of the head's loss among those of the other tasks.
    """

    def __init__(self, head: SegmentationOptions, loss_weight: float = 1.0) -> None:
        require_number("SegmentationTask.loss_weight", loss_weight, above=0)
        self.head, self.loss_weight = head, loss_weight

    def build_head(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> SegmentationHead:
        """See ``Task.build_head``."""
        return self.head.build(channels, grid, taxonomy)

    def writer(self, taxonomy: Taxonomy) -> SegmentationWriter:
        """See ``Task.writer``."""
        return SegmentationWriter(self.head.classes)

    def scorer(self) -> SegmentationScorer:
        """See ``Task.scorer``."""
        return SegmentationScorer(self.head.classes)
