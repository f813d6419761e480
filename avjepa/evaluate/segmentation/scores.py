"""Intersection over union of maps of probabilities, summed over a split."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from avjepa.heads.segmentation.prediction import CERTAIN

THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
"""Of which the best counts, as in BEVFusion (Liu et al. 2023)."""
USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class ClassIoU:
    """The score of one class.

    Attributes:
        usual: intersection over union with cells of probability one half and more; NaN where there is nothing of the
            class, neither true nor predicted.
        best: the highest one of ``THRESHOLDS``; NaN as ``usual``.
        threshold: the one that gives it, the first of equal ones.
        present: number of cells of the class.
        known: number of cells that were scored.
    """

    usual: float
    best: float
    threshold: float
    present: int
    known: int

    def as_json(self) -> dict[str, Any]:
        """As ``metrics.json`` holds it; ``null`` for NaN."""
        usual, best = (None if math.isnan(value) else value for value in (self.usual, self.best))
        return {
            "iou": usual, "best_iou": best, "best_threshold": self.threshold, "cells": self.present,
            "scored_cells": self.known,
        }  # fmt: skip


class IoUCounter:
    """Counts how often each probability was given to cells of each class and to others.

    Args:
        classes: number of them.
    """

    def __init__(self, classes: int) -> None:
        self.counts: Int64[Tensor, "class 2 256"] = torch.zeros(classes, 2, CERTAIN + 1, dtype=torch.int64)
        """By class, by whether the cell is of it, by probability in steps of 1/255."""

    def add(
        self,
        probability: UInt8[Tensor, "class y x"] | None,
        present: Bool[Tensor, "class y x"],
        known: Bool[Tensor, "class y x"],
    ) -> None:
        """Count the known cells of a sample; without a prediction, each as of probability 0."""
        classes, levels = len(self.counts), CERTAIN + 1
        bins = present.int() * levels
        if probability is not None:
            bins += probability
        bins[~known] = 2 * levels  # a bin that does not count
        bins += torch.arange(classes, dtype=torch.int32)[:, None, None] * (2 * levels + 1)
        counts = torch.bincount(bins.flatten(), minlength=classes * (2 * levels + 1)).view(classes, -1)
        self.counts += counts[:, : 2 * levels].reshape(classes, 2, levels)

    def include(self, other: "IoUCounter") -> None:
        """Count what another one counted, too."""
        self.counts += other.counts

    def hits_and_union(self, row: int, threshold: float = USUAL_THRESHOLD) -> tuple[int, int]:
        """Of a class: how many cells are of it and predicted, and how many are either."""
        return _hits_and_union(self.counts[row], threshold)

    def scores(self) -> list[ClassIoU]:
        """Of every class."""
        return [self._of_class(counts) for counts in self.counts]

    def _of_class(self, counts: Int64[Tensor, "2 256"]) -> ClassIoU:
        ious = {threshold: _iou(counts, threshold) for threshold in THRESHOLDS}
        best = max(ious, key=lambda threshold: -1.0 if math.isnan(ious[threshold]) else ious[threshold])
        return ClassIoU(ious[USUAL_THRESHOLD], ious[best], best, int(counts[1].sum()), int(counts.sum()))


def _iou(counts: Int64[Tensor, "2 256"], threshold: float) -> float:
    hits, union = _hits_and_union(counts, threshold)
    return hits / union if union else math.nan


def _hits_and_union(counts: Int64[Tensor, "2 256"], threshold: float) -> tuple[int, int]:
    lowest = math.ceil(threshold * CERTAIN - 1e-9)
    hits = int(counts[1, lowest:].sum())
    return hits, int(counts[1].sum()) + int(counts[0, lowest:].sum())


def mean(values: Sequence[float]) -> float:
    """Mean of what is no NaN; NaN where nothing is left."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
