"""3-D object detection as a task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avjepa.data.argoverse2.dataset import Argoverse2Dataset
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.argoverse2.results import write_argoverse2_results
from avjepa.evaluate.detection.predictions import official_boxes, write_predictions
from avjepa.evaluate.detection.scoring import evaluate_detection, own_scores
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.base import Head, HeadOptions
from avjepa.heads.detection.detections import Detections
from avjepa.heads.task import METRICS, PredictionWriter, ScoredSplit, Scorer, Task
from avjepa.ranges import require_number


class DetectionWriter(PredictionWriter[Detections]):
    """The result file of the nuScenes detection task."""

    file_name = "predictions.json"

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy

    def entries(self, batch: Batch, predictions: Sequence[Detections]) -> dict[str, Any]:
        """Boxes in the global frame, by sample token."""
        return {
            token: official_boxes(token, detections, global_from_level, self.taxonomy)
            for token, global_from_level, detections in zip(
                batch.tokens, batch.global_from_level, predictions, strict=True
            )
        }  # fmt: skip

    def write(self, path: Path, entries: Mapping[str, bytes], tokens: Sequence[str], sensors: Sequence[str]) -> None:
        """See ``PredictionWriter.write``."""
        write_predictions(path, entries, tokens, sensors)


class DetectionScorer(Scorer):
    """The nuScenes detection metrics; for logs of Argoverse 2 its own file and score beside them."""

    def score(self, predictions: Path, split: ScoredSplit, out: Path, fast: bool = False) -> Path | None:
        """See ``Scorer.score``."""
        scores = evaluate_detection(predictions, split, out, fast)
        if isinstance(split.source, Argoverse2Dataset):
            write_argoverse2_results(predictions, split.source, split.split, out)
        return None if scores is None else out / METRICS

    def figures(self, predictions: Path, split: ScoredSplit) -> dict[str, float]:
        """See ``Scorer.figures``: by our own evaluator."""
        scores = own_scores(predictions, split)
        return {} if scores is None else {"mAP": scores.mean_ap, "NDS": scores.nd_score}


class DetectionTask(Task[Detections]):
    """Boxes of the classes of the taxonomy.

    Args:
        head: finds them.
        loss_weight: of the head's loss among those of the other tasks.
    """

    def __init__(self, head: HeadOptions, loss_weight: float = 1.0) -> None:
        require_number("DetectionTask.loss_weight", loss_weight, above=0)
        self.head, self.loss_weight = head, loss_weight

    def build_head(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> Head[Detections]:
        """See ``Task.build_head``."""
        return self.head.build(channels, grid, taxonomy)

    def writer(self, taxonomy: Taxonomy) -> DetectionWriter:
        """See ``Task.writer``."""
        return DetectionWriter(taxonomy)

    def scorer(self) -> DetectionScorer:
        """See ``Task.scorer``."""
        return DetectionScorer()
