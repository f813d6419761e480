"""Precision and errors of one class over recall (nuScenes detection task, Caesar et al. 2020, section 3.1)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from avjepa.data.arrays import Array
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable

RECALLS = np.linspace(0, 1, 101)
MINIMUM_RECALL = 0.1
"""What a detector does below this recall is left out: it is noise."""
MINIMUM_PRECISION = 0.1
_FIRST = round(100 * MINIMUM_RECALL) + 1


@dataclass(frozen=True)
class Curve:
    """Values at each of ``RECALLS`` of one class and matching distance."""

    precision: Float[Array, "recall"]
    """0 beyond the recall that is reached."""
    confidence: Float[Array, "recall"]
    """Score at which the recall is reached; 0 beyond."""

    @classmethod
    def of_hits(cls, score: Float[Array, "prediction"], hit: Bool[Array, "prediction"], boxes: int) -> "Curve":
        """The curve of predictions, best first.

        Args:
            score: descending.
            hit: which predictions found a box.
            boxes: number of annotated boxes; at least one.
        """
        found = np.cumsum(hit).astype(np.float64)
        recall = found / boxes
        precision = np.interp(RECALLS, recall, found / np.arange(1, len(hit) + 1), right=0)
        return cls(precision, np.interp(RECALLS, recall, score, right=0))

    def average_precision(self) -> float:
        """Mean precision above the minimum precision and recall, 1 at best."""
        above = np.clip(self.precision[_FIRST:] - MINIMUM_PRECISION, 0, None)
        return float(above.mean()) / (1 - MINIMUM_PRECISION)

    def mean_error(self, score: Float[Array, "pair"], error: Float[Array, "pair"]) -> float:
        """Mean over the recalls from the minimum to the highest that is reached; 1 where the minimum is not.

        At each recall it is the mean error of the true positives down to its confidence.

        Args:
            score: of the true positives, descending.
            error: of each of them; NaN where it is unknown.
        """
        reached = np.flatnonzero(self.confidence)
        last = reached[-1] if len(reached) else 0
        if last < _FIRST:
            return 1.0
        means = np.interp(self.confidence[::-1], score[::-1], _cumulative_mean(error)[::-1])[::-1]
        return float(means[_FIRST : last + 1].mean())


def errors_of_pairs(predicted: BoxTable, truth: BoxTable, half_turn: bool) -> dict[str, Float[Array, "pair"]]:
    """Errors of true positives, by name as in ``scores.ERRORS``.

    Args:
        predicted: the true positives.
        truth: the box that each of them found.
        half_turn: orientation is known up to half a turn.
    """
    period = np.pi if half_turn else 2 * np.pi
    intersection = np.minimum(predicted.size, truth.size).prod(1)
    union = predicted.size.prod(1) + truth.size.prod(1) - intersection
    turned = (truth.yaw - predicted.yaw + period / 2) % period - period / 2
    wrong = (predicted.attribute != truth.attribute).astype(np.float64)
    return {
        "trans_err": np.sqrt(((predicted.translation - truth.translation)[:, :2] ** 2).sum(1)),
        "scale_err": 1 - intersection / union,
        "orient_err": np.abs(turned),
        "vel_err": np.sqrt(((predicted.velocity - truth.velocity) ** 2).sum(1)),
        "attr_err": np.where(truth.attribute == NO_ATTRIBUTE, np.nan, wrong),
    }


def _cumulative_mean(values: Float[Array, "item"]) -> Float[Array, "item"]:
    """Mean of the values so far, NaN left out: 0 before the first value, 1 throughout where there is none."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    return np.asarray(np.nancumsum(values) / np.maximum(np.cumsum(known), 1))
