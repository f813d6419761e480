"""Re-identification as a task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.reidentification.result_file import FILE_NAME, entry, write_embeddings
from avjepa.evaluate.reidentification.scoring import ReidentificationScorer
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.reidentification import ReidentificationHead, ReidentificationOptions
from avjepa.heads.reidentification.embeddings import ObjectEmbeddings
from avjepa.heads.task import PredictionWriter, Task
from avjepa.ranges import require_number


class EmbeddingWriter(PredictionWriter[ObjectEmbeddings]):
    """The file of ``evaluate.reidentification.result_file``.

    Args:
        taxonomy: names the classes.
        options: of the head.
    """

    file_name = FILE_NAME

    def __init__(self, taxonomy: Taxonomy, options: ReidentificationOptions) -> None:
        self.taxonomy, self.options = taxonomy, options

    def entries(self, batch: Batch, predictions: Sequence[ObjectEmbeddings]) -> dict[str, Any]:
        """Boxes in the global frame and their embeddings, by sample token."""
        result = {}
        for token, global_from_level, found in zip(batch.tokens, batch.global_from_level, predictions, strict=True):
            queries = found.queries
            result[token] = entry(
                transform_boxes(global_from_level.cpu(), queries.boxes.double()).numpy(),
                [self.taxonomy.classes[index] for index in queries.class_index.tolist()],
                queries.tracks,
                [None if np.isnan(score) else score for score in queries.scores.tolist()],
                found.embeddings.numpy(),
            )
        return result

    def write(self, path: Path, entries: Mapping[str, bytes], tokens: Sequence[str], sensors: Sequence[str]) -> None:
        """See ``PredictionWriter.write``."""
        options = self.options
        write_embeddings(path, options.dimension, entries, tokens, sensors, options.temperature)


class ReidentificationTask(Task[ObjectEmbeddings]):
    """Embeddings by which an object is known again after it was hidden.

    Args:
        head: makes them.
        loss_weight: of the head's loss among those of the other tasks.
    """

    def __init__(self, head: ReidentificationOptions, loss_weight: float = 1.0) -> None:
        require_number("ReidentificationTask.loss_weight", loss_weight, above=0)
        self.head, self.loss_weight = head, loss_weight

    def build_head(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> ReidentificationHead:
        """See ``Task.build_head``."""
        return self.head.build(channels, grid, taxonomy)

    def writer(self, taxonomy: Taxonomy) -> EmbeddingWriter:
        """See ``Task.writer``."""
        return EmbeddingWriter(taxonomy, self.head)

    def scorer(self) -> ReidentificationScorer:
        """See ``Task.scorer``."""
        return ReidentificationScorer(self.head.minimum_points)
