"""How well the scores of gallery entries find the right one, and tell what is new."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.events import Queries

RESAMPLES = 1_000
"""Of the scenes, for an interval."""
_CONFIDENCE = 0.95
_TRUE_POSITIVE_RATE = 0.95


@dataclass(frozen=True)
class Outcome:
    """What a method makes of queries.

    Equal scores are put in every order, and the mean is taken. An entry at ``-inf`` is refused: it is never named.
    What nothing can be told of (NaN) counts as wrong: as refused for an event, as surely known for a newborn.

    Attributes:
        first: whether an event's own object has the best score, from 0 to 1; NaN for a newborn.
        reciprocal: one over its rank: with one right entry, the average precision of a query; NaN for a newborn.
        best: the best score of each gallery.
    """

    first: Float64[Array, "query"]
    reciprocal: Float64[Array, "query"]
    best: Float64[Array, "query"]

    @classmethod
    def of(cls, queries: Queries, scores: Float64[Array, "pair"]) -> "Outcome":
        """Of the scores of all gallery entries."""
        told = np.where(np.isnan(scores), -np.inf, scores)
        begins = np.searchsorted(queries.pair_query, np.arange(len(queries)))
        best = np.maximum.reduceat(told, begins) if len(queries) else told
        known = np.bincount(queries.pair_query, ~np.isnan(scores), minlength=len(queries)) > 0
        best = np.where(queries.is_newborn & ~known, np.inf, best)
        same = queries.pair_is_same
        own = np.full(len(queries), -np.inf)
        own[queries.pair_query[same]] = told[same]
        own_score = own[queries.pair_query]
        better = np.bincount(queries.pair_query, told > own_score, minlength=len(queries)).astype(np.int64)
        equal = np.bincount(queries.pair_query, told == own_score, minlength=len(queries)).astype(np.int64)
        equal = np.maximum(equal, 1)
        harmonic = np.concatenate(([0.0], np.cumsum(1 / np.arange(1, 2 + (better + equal).max(initial=0)))))
        refused = own == -np.inf
        first = np.where(refused | (better > 0), 0.0, 1 / equal)
        reciprocal = np.where(refused, 0.0, (harmonic[better + equal] - harmonic[better]) / equal)
        newborn = queries.is_newborn
        return cls(np.where(newborn, np.nan, first), np.where(newborn, np.nan, reciprocal), best)


@dataclass(frozen=True)
class Figures:
    """The scores of a method over some events and newborns, each from 0 to 1; NaN where there is nothing to score."""

    events: int
    newborns: int
    rank1: float
    """Share of the events whose own object has the best score of its gallery."""
    mAP: float
    """Mean reciprocal rank, which is the mean average precision where one entry is right."""
    auroc: float
    """Probability that an event's best score is above a newborn's, equal ones counting half."""
    fpr95: float
    """Share of newborns at or above the highest threshold that 95 % of the events reach."""
    intervals: dict[str, tuple[float, float]]
    """Of ``rank1``, ``mAP`` and ``auroc`` where there are two scenes or more: 95 % of the values over scenes that are
    drawn anew."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, with ``None`` for what is not known."""
        return {name: None if isinstance(value, float) and math.isnan(value) else value
                for name, value in asdict(self).items()}  # fmt: skip


def figures(
    outcome: Outcome,
    scene: Int64[Array, "query"],
    events: Bool[Array, "query"],
    newborns: Bool[Array, "query"],
    seed: int,
) -> Figures:
    """The figures of a part of the queries.

    Args:
        outcome: of all queries.
        scene: of each query.
        events: which re-appearing queries count.
        newborns: which newborn ones they are told from.
        seed: of the scenes that are drawn anew.
    """
    first, reciprocal = outcome.first[events], outcome.reciprocal[events]
    positive, negative = outcome.best[events], outcome.best[newborns]
    return Figures(
        events=len(first),
        newborns=len(negative),
        rank1=float(first.mean()) if len(first) else math.nan,
        mAP=float(reciprocal.mean()) if len(first) else math.nan,
        auroc=auroc(positive, negative),
        fpr95=false_positive_rate(positive, negative),
        intervals=_intervals(first, reciprocal, (positive, negative), (scene[events], scene[newborns]), seed),
    )


def auroc(positive: Float64[Array, "positive"], negative: Float64[Array, "negative"]) -> float:
    """Area under the curve of true over false positive rates; NaN where there are none of one kind."""
    if not len(positive) or not len(negative):
        return math.nan
    return float(_wins(positive, np.sort(negative)).mean() / len(negative))


def false_positive_rate(
    positive: Float64[Array, "positive"], negative: Float64[Array, "negative"], at: float = _TRUE_POSITIVE_RATE
) -> float:
    """Share of negatives that score as high as the highest threshold which a share ``at`` of the positives reaches.

    NaN where there are none of one kind.
    """
    if not len(positive) or not len(negative):
        return math.nan
    threshold = np.sort(positive)[::-1][math.ceil(at * len(positive) - 1e-9) - 1]
    return float((negative >= threshold).mean())


def _wins(positive: Float64[Array, "positive"], ascending: Float64[Array, "negative"]) -> Float64[Array, "positive"]:
    """How many negatives each positive is above, equal ones counting half."""
    below, not_above = (np.searchsorted(ascending, positive, side=side) for side in ("left", "right"))
    return np.asarray((below + not_above) / 2)


def _intervals(
    first: Float64[Array, "event"],
    reciprocal: Float64[Array, "event"],
    best: tuple[Float64[Array, "event"], Float64[Array, "newborn"]],
    scenes: tuple[Int64[Array, "event"], Int64[Array, "newborn"]],
    seed: int,
) -> dict[str, tuple[float, float]]:
    """See ``Figures.intervals``; events and newborns of a scene are drawn together."""
    known = np.unique(np.concatenate(scenes))
    if len(np.unique(scenes[0])) < 2:
        return {}
    own, others = (np.searchsorted(known, scene) for scene in scenes)
    size = len(known)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), RESAMPLES).astype(float)
    events, newborns = (np.bincount(scene, minlength=size) for scene in (own, others))
    with np.errstate(invalid="ignore", divide="ignore"):
        result = {
            "rank1": _middle(drawn @ np.bincount(own, first, size) / (drawn @ events)),
            "mAP": _middle(drawn @ np.bincount(own, reciprocal, size) / (drawn @ events)),
        }
        if len(best[1]):
            wins = np.stack(
                [np.bincount(own, _wins(best[0], np.sort(best[1][others == scene])), size) for scene in range(size)]
            )
            above = np.einsum("rn,ne,re->r", drawn, wins, drawn, optimize=True)
            result["auroc"] = _middle(above / ((drawn @ events) * (drawn @ newborns)))
    return result


def _middle(values: Float64[Array, "resample"]) -> tuple[float, float]:
    """Where the middle 95 % of the values lie that are numbers."""
    outside = (1 - _CONFIDENCE) / 2
    low, high = np.nanquantile(values, [outside, 1 - outside])
    return float(low), float(high)


@dataclass(frozen=True)
class PairFigures:
    """How often two sightings are told right to be of one object or of two, over balanced pairs."""

    pairs: int
    accuracy: float
    f1: float
    """Harmonic mean of precision and recall of "the same"."""


def pair_figures(scores: Float64[Array, "pair"], are_same: Bool[Array, "pair"], threshold: float) -> PairFigures | None:
    """Of scores that say "the same" from a threshold on; a pair of which nothing can be told (NaN) is told wrong.

    ``None`` where there are no pairs.
    """
    if not len(scores):
        return None
    called = np.where(np.isnan(scores), ~are_same, scores >= threshold)
    hits = int((called & are_same).sum())
    wrong = int((called != are_same).sum())
    return PairFigures(len(scores), 1 - wrong / len(scores), 2 * hits / (2 * hits + wrong) if hits else 0.0)
