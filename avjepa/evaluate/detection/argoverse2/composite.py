"""The composite detection score of Argoverse 2 (arXiv:2301.00493, section 4.2), as ``av2.evaluation.detection`` has it.

All sweeps within the range count, not those parts alone that the map calls the region of interest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.detection.argoverse2.cuboids import Cuboids

DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""A detection is right whose centre is nearer than this (m) to that of the box which it found."""
_ERROR_DISTANCE = 2.0
"""The one of ``DISTANCES`` at which errors are taken."""
RANGE = 150.0
_MOST_PER_SWEEP = 100
"""Detections of a class that count at a sweep."""
_RECALLS = np.linspace(0, 1, 101)
WORST = {"ATE": _ERROR_DISTANCE, "ASE": 1.0, "AOE": np.pi}
"""Errors of a class of which nothing was found, and what errors are divided by: metres, 1 - IoU, radians."""


@dataclass(frozen=True)
class CompositeScores:
    """By class: AP, ATE, ASE, AOE and CDS."""

    classes: dict[str, dict[str, float]]

    def means(self) -> dict[str, float]:
        """Over all classes, those without a box included, as the competition has it."""
        names = ("AP", *WORST, "CDS")
        return {name: float(np.mean([own[name] for own in self.classes.values()])) for name in names}


def composite_scores(detected: Cuboids, annotated: Cuboids, classes: Sequence[str]) -> CompositeScores:
    """Score detections.

    Args:
        detected: of all sweeps of a split.
        annotated: those that hold a point.
        classes: their names.
    """
    annotated = annotated.selected(np.linalg.norm(annotated.centre, axis=1) < RANGE)
    scores = {}
    for index, name in enumerate(classes):
        own, truth = (cuboids.selected(cuboids.class_index == index) for cuboids in (detected, annotated))
        own = _counted(own)
        scores[name] = _scores_of_class(own, truth, _found(own, truth))
    return CompositeScores(scores)


def _counted(detected: Cuboids) -> Cuboids:
    """The detections of a class within the range, by sweep and, best first, the best of each sweep."""
    detected = detected.selected(np.linalg.norm(detected.centre, axis=1) < RANGE)
    detected = detected.selected(np.lexsort((-detected.score, detected.sweep)))
    rank = np.arange(len(detected)) - np.searchsorted(detected.sweep, detected.sweep)
    return detected.selected(rank < _MOST_PER_SWEEP)


def _found(detected: Cuboids, truth: Cuboids) -> Int64[Array, "detection"]:
    """The box that each detection of a class found, or -1.

    It is the one whose centre is nearest; of several detections with the same nearest box the best one found it.

    Args:
        detected: by sweep, best first.
        truth: in any order.
    """
    found = np.full(len(detected), -1, np.int64)
    rows_of_sweep = np.argsort(truth.sweep, kind="stable")
    border = np.flatnonzero(np.diff(detected.sweep, prepend=-1, append=-1))
    for first, last in pairwise(border.tolist()):
        sweep = detected.sweep[first]
        here = rows_of_sweep[slice(*np.searchsorted(truth.sweep[rows_of_sweep], (sweep, sweep + 1)))]
        if len(here):
            away = np.linalg.norm(detected.centre[first:last, None] - truth.centre[None, here], axis=2)
            box, best = np.unique(away.argmin(1), return_index=True)
            found[first + best] = here[box]
    return found


def _scores_of_class(detected: Cuboids, truth: Cuboids, found: Int64[Array, "detection"]) -> dict[str, float]:
    nothing = {"AP": 0.0, **WORST, "CDS": 0.0}
    if not len(truth) or not len(detected):
        return nothing
    pairs, boxes = detected.selected(found >= 0), truth.selected(found[found >= 0])
    away = np.full(len(detected), np.inf)
    away[found >= 0] = np.linalg.norm(pairs.centre - boxes.centre, axis=1)
    order = np.argsort(-detected.score, kind="stable")
    precision = float(np.mean([_average_precision((away < distance)[order], len(truth)) for distance in DISTANCES]))
    right = away[found >= 0] < _ERROR_DISTANCE
    if not right.any():
        return {**nothing, "AP": precision}
    turn = np.abs(pairs.yaw - boxes.yaw)
    turn = np.where(turn >= np.pi, 2 * np.pi - turn, turn)
    overlap = np.minimum(pairs.size, boxes.size).prod(1) / np.maximum(pairs.size, boxes.size).prod(1)
    errors = {"ATE": away[found >= 0][right], "ASE": (1 - overlap)[right], "AOE": turn[right]}
    means = {name: float(values.mean()) for name, values in errors.items()}
    composite = precision * float(np.mean([1 - means[name] / worst for name, worst in WORST.items()]))
    return {"AP": precision, **means, "CDS": composite}


def _average_precision(right: Bool[Array, "detection"], boxes: int) -> float:
    """Mean of the precision, made monotonous, at 101 recalls; 0 beyond the last one that is reached."""
    hits = np.cumsum(right)
    precision: Float64[Array, detection] = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.interp(_RECALLS, hits / boxes, precision, right=0).mean())
