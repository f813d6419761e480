"""Precision and errors of one class over recall (nuScenes detection task, Caesar et al. 2020, section 3.1)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable

RECALLS = np.linspace(0, 1, 101)
MINIMUM_RECALL = 0.1
"""What a detector does below this recall is left out: it is noise."""
MINIMUM_PRECISION = 0.1
_FIRST = round(100 * MINIMUM_RECALL) + 1


@dataclass(frozen=True)
class Curves:
    """Values at each of ``RECALLS``."""

    precision: Float[Array, "recall"]
    """0 beyond the recall that is reached."""
    confidence: Float[Array, "recall"]
    """Score at which the recall is reached; 0 beyond."""
    errors: dict[str, Float[Array, "recall"]]
    """Mean error of the true positives down to that confidence, by name as in ``scores.ERRORS``."""

    @classmethod
    def of_matches(
        cls, predicted: BoxTable, truth: BoxTable, match: Int64[Array, "prediction"], half_turn: bool
    ) -> "Curves | None":
        """Curves of one class and matching distance; ``None`` where nothing was found.

        Args:
            predicted: best first.
            truth: the annotated boxes.
            match: index into ``truth``, or -1, per prediction.
            half_turn: orientation is known up to half a turn.
        """
        hit = match >= 0
        if not hit.any():
            return None
        true, false = np.cumsum(hit).astype(np.float64), np.cumsum(~hit).astype(np.float64)
        recall = true / len(truth)
        precision = np.interp(RECALLS, recall, true / (false + true), right=0)
        confidence = np.interp(RECALLS, recall, predicted.score, right=0)
        errors = _errors(predicted.selected(hit), truth.selected(match[hit]), half_turn)
        scores = predicted.score[hit][::-1]
        return cls(
            precision,
            confidence,
            {
                name: np.interp(confidence[::-1], scores, _cumulative_mean(values)[::-1])[::-1]
                for name, values in errors.items()
            },
        )

    def average_precision(self) -> float:
        """Mean precision above the minimum precision and recall, 1 at best."""
        above = np.clip(self.precision[_FIRST:] - MINIMUM_PRECISION, 0, None)
        return float(above.mean()) / (1 - MINIMUM_PRECISION)

    def mean_error(self, name: str) -> float:
        """Mean over the recalls from the minimum to the highest that is reached; 1 where the minimum is not."""
        reached = np.flatnonzero(self.confidence)
        last = reached[-1] if len(reached) else 0
        return float(self.errors[name][_FIRST : last + 1].mean()) if last >= _FIRST else 1.0


def _errors(predicted: BoxTable, truth: BoxTable, half_turn: bool) -> dict[str, Float[Array, "pair"]]:
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
