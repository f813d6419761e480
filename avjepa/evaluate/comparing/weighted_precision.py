"""Average precision when each scene counts as often as it was drawn."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.detection.curves import MINIMUM_PRECISION, MINIMUM_RECALL, RECALLS

_RECALLS = RECALLS[round(100 * MINIMUM_RECALL) + 1 :]
MOST_CUTS = 256
"""Places of a curve that are followed through all draws: more than twice the recalls at which it is read."""
_AT_ONCE = 1 << 20
"""Numbers of draws times places that are held at a time."""


@dataclass(frozen=True)
class SceneCounts:
    """True and false positives of one class down to some scores, scene by scene.

    A scene that is drawn n times has each of its boxes and predictions n times. The curve of a draw is straight between
    the places that are kept: each true positive and what stands before it, which is where the ordinary curve bends; of
    more than ``MOST_CUTS`` places as many are taken, equally far apart.
    """

    true: Float32[Array, "scene cut"]
    """Predictions that found a box, from the best down to each place."""
    false: Float32[Array, "scene cut"]
    """Predictions that found none."""
    boxes: Int64[Array, "scene"]
    """Annotated boxes of each scene."""

    @classmethod
    def of(
        cls, scene: Int64[Array, "prediction"], hit: Bool[Array, "prediction"], boxes: Int64[Array, "scene"]
    ) -> "SceneCounts":
        """Of predictions.

        Args:
            scene: of each prediction, best first.
            hit: which of them are true positives; the others are false.
            boxes: number of annotated boxes of each scene.
        """
        hits = np.flatnonzero(hit)
        cuts = np.unique(np.concatenate((hits, hits[hits > 0] - 1, [len(hit) - 1] if len(hit) else [])))
        if len(cuts) > MOST_CUTS:
            cuts = cuts[np.linspace(0, len(cuts) - 1, MOST_CUTS).round().astype(np.int64)]
        place = np.searchsorted(cuts, np.arange(len(hit)))

        def counted(chosen: Bool[Array, "prediction"]) -> Float32[Array, "scene cut"]:
            cell = scene[chosen] * len(cuts) + place[chosen]
            count = np.bincount(cell, minlength=len(boxes) * len(cuts)).reshape(len(boxes), len(cuts))
            result: Array = np.cumsum(count, axis=1).astype(np.float32)  # whole numbers below 2^24 are exact
            return result

        return cls(counted(hit), counted(~hit), boxes)

    def average_precision(self, weights: Float32[Array, "draw scene"]) -> Float64[Array, "draw"]:
        """The AP of every draw, as ``Curve.average_precision`` where all weights are one; NaN where no box is left."""
        boxes = weights.astype(np.float64) @ self.boxes
        if not self.true.any():
            return np.where(boxes > 0, 0.0, np.nan)
        step = max(1, _AT_ONCE // self.true.shape[1])
        parts = [slice(start, start + step) for start in range(0, len(weights), step)]
        aps = [_precision(weights[part] @ self.true, weights[part] @ self.false, boxes[part]) for part in parts]
        return np.concatenate(aps)

    def alone(self) -> Float64[Array, "scene"]:
        """The AP of every scene by itself; NaN where it has no box."""
        boxes = self.boxes.astype(np.float64)
        if not self.true.any():
            return np.where(boxes > 0, 0.0, np.nan)
        return _precision(self.true, self.false, boxes)


def _precision(
    true: Float32[Array, "draw cut"], false: Float32[Array, "draw cut"], boxes: Float64[Array, "draw"]
) -> Float64[Array, "draw"]:
    """The AP of curves, NaN where there is no box."""
    none = np.where(boxes > 0, 0.0, np.nan)
    total = np.maximum(boxes, 1)[:, None]
    recall = _RECALLS[: np.searchsorted(_RECALLS, (true[:, -1] / total[:, 0]).max(), side="right")]
    # as np.interp: between the last place whose recall is not above, and the next one
    following = _searched(true, _most_of(total, recall))
    last = true.shape[1] - 1
    begins, ended = following == 0, following > last
    places = np.maximum(following - 1, 0), np.minimum(following, last)
    true_before, true_after = (np.take_along_axis(true, place, axis=1).astype(np.float64) for place in places)
    false_before, false_after = (np.take_along_axis(false, place, axis=1) for place in places)
    true_before[begins] = false_before[begins] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        high = true_after / (true_after + false_after)
        low = true_before / (true_before + false_before)
        low = np.where(np.isnan(low), high, low)  # where nothing was predicted before
        left, right = true_before / total, true_after / total
        found = (high - low) / (right - left) * (recall - left) + low
    found[ended] = np.where(left == recall, low, 0.0)[ended]  # 0 beyond the recall that is reached
    above = np.clip(found - MINIMUM_PRECISION, 0, None).sum(axis=1) / len(_RECALLS)
    result: Array = none + above / (1 - MINIMUM_PRECISION)
    return result


def _most_of(total: Float64[Array, "draw 1"], recall: Float64[Array, "recall"]) -> Float64[Array, "draw recall"]:
    """The most true positives whose recall, as it is rounded, is not above a recall."""
    most = np.floor(total * recall)
    most += (most + 1) / total <= recall
    result: Array = most - (most / total > recall)
    return result


def _searched(
    ascending: Float32[Array, "draw cut"], wanted: Float64[Array, "draw recall"]
) -> Int64[Array, "draw recall"]:
    """Where the first value above each wanted one stands in each row."""
    rows, each = torch.from_numpy(ascending), torch.from_numpy(wanted.astype(np.float32))
    result: Array = torch.searchsorted(rows, each, right=True).numpy()
    return result
