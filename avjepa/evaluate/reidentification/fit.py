"""The few numbers of the methods, fitted on scenes that are not evaluated."""

from collections.abc import Sequence
from dataclasses import astuple, fields, replace

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import minimize

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.methods import (
    MOTION_EMBEDDING,
    MOTION_TIME,
    MOTION_TIME_EMBEDDING,
    Embeddings,
    Parameters,
    Weights,
    evidence,
    most_alike,
    scores,
)
from avjepa.evaluate.reidentification.motion import fitted_motion, motion_log_likelihood
from avjepa.evaluate.reidentification.pairs import Pairs, balanced_pairs

FEWEST_EVENTS = 10
"""With fewer events nothing is fitted."""
_SMALLEST_SIGMA = 0.05  # m, m/s
_SMALLEST_SIZE_SIGMA = 0.01
_BOUNDS = {"motion": (0.0, 10.0), "time": (-10.0, 10.0), "embedding": (0.0, 200.0)}
"""Of weights."""


def fitted(
    queries: Queries, seed: int, embeddings: Embeddings | None = None, start: Parameters | None = None
) -> Parameters:
    """Parameters that make what happened in some events most likely; ``start`` where there are too few of them.

    Args:
        queries: of a training split, of which the re-appearing ones count.
        seed: of the pairs that the thresholds are found on, and of the random embedding.
        embeddings: of their sightings; without them their weight stays that of ``start``.
        start: what is not fitted; the defaults for ``None``.
    """
    parameters = start or Parameters()
    events = queries.selected(~queries.is_newborn)
    if len(events) < FEWEST_EVENTS:
        return parameters
    own = Pairs(queries.sightings, events.last, events.sighting)
    miss_at_once, miss_per_second = miss_growth(own.miss(), own.gap)
    size_sigma = max(_SMALLEST_SIZE_SIGMA, float(np.sqrt((own.size_ratio() ** 2).mean())))
    parameters = replace(
        parameters, miss_at_once=miss_at_once, miss_per_second=miss_per_second, motion=fitted_motion(own),
        size_sigma=size_sigma,
    )  # fmt: skip
    parameters = replace(parameters, weights=_weights(events, embeddings, parameters))
    pairs = balanced_pairs(queries.sightings, seed)
    if not len(pairs):
        return parameters
    found = scores(pairs, parameters, seed, embeddings)
    thresholds = {method: best_threshold(values, pairs.are_same) for method, values in found.items()}
    return replace(parameters, thresholds=thresholds)


def miss_growth(miss: Float64[Array, "event"], gap: Float64[Array, "event"]) -> tuple[float, float]:
    """``miss_at_once`` and ``miss_per_second`` of greatest likelihood, if misses (m) after gaps (s) are normal."""

    def negative_log_likelihood(logarithms: Float64[Array, "2"]) -> float:
        variance = np.exp(2 * logarithms[0]) + np.exp(2 * logarithms[1]) * gap**2
        return float((miss**2 / (2 * variance) + np.log(variance)).sum())

    start = np.log(max(_SMALLEST_SIGMA, float(np.sqrt((miss**2).mean() / 4))))
    lowest = float(np.log(_SMALLEST_SIGMA))
    found = minimize(negative_log_likelihood, [start, start], bounds=[(lowest, 10.0)] * 2, method="L-BFGS-B")
    at_once, per_second = np.exp(found.x)
    return float(at_once), float(per_second)


def _weights(events: Queries, embeddings: Embeddings | None, parameters: Parameters) -> dict[str, Weights]:
    """Weights at which the methods find the events' own objects most surely."""
    pairs = Pairs.of_galleries(events)
    motion = motion_log_likelihood(parameters.motion, pairs)
    alike = np.zeros(len(pairs)) if embeddings is None else most_alike(pairs, embeddings)
    told = evidence(motion, pairs.gap, alike)
    of_motion = conditional_logit(told, events, ("motion", "time"), Weights())
    with_both = replace(of_motion, embedding=parameters.weights[MOTION_TIME_EMBEDDING].embedding)
    found = {MOTION_TIME: of_motion, MOTION_TIME_EMBEDDING: with_both}
    if embeddings is not None:
        start = parameters.weights[MOTION_EMBEDDING]
        found[MOTION_EMBEDDING] = conditional_logit(told, events, ("motion", "embedding"), start)
        found[MOTION_TIME_EMBEDDING] = conditional_logit(told, events, ("motion", "time", "embedding"), with_both)
    return {**parameters.weights, **found}


def conditional_logit(told: Float64[Array, "pair 3"], events: Queries, which: Sequence[str], start: Weights) -> Weights:
    """Weights of greatest likelihood, if each event chooses one entry of its gallery (McFadden, 1974).

    Args:
        told: see ``methods.evidence``, of all entries.
        events: no newborns.
        which: names of the weights that are fitted.
        start: the others stay.
    """
    begins = np.flatnonzero(np.diff(events.pair_query, prepend=-1))
    places = [field.name for field in fields(Weights)]
    chosen = np.array([places.index(name) for name in which])
    scale = np.maximum(told[:, chosen].std(0), 1.0)  # the logarithm of a likelihood may be in thousands

    def weights(values: Float64[Array, "weight"]) -> Weights:
        return replace(start, **dict(zip(which, (values / scale).tolist(), strict=True)))

    def surprise(values: Float64[Array, "weight"]) -> tuple[float, Float64[Array, "weight"]]:
        total = told @ np.array(astuple(weights(values)))
        highest = np.maximum.reduceat(total, begins)
        likely = np.exp(total - highest[events.pair_query])
        whole = np.add.reduceat(likely, begins)
        gradient = (likely / whole[events.pair_query] - events.pair_is_same) @ told[:, chosen] / scale
        return float((np.log(whole) + highest - total[events.pair_is_same]).sum()), gradient

    bounds = np.array([_BOUNDS[name] for name in which]) * scale[:, None]
    first = np.array(astuple(start))[chosen] * scale
    return weights(minimize(surprise, first, jac=True, bounds=bounds, method="L-BFGS-B").x)


def best_threshold(values: Float64[Array, "pair"], are_same: Bool[Array, "pair"]) -> float:
    """The score at which most pairs are told right when those from it on are called the same; NaN is left out."""
    known = ~np.isnan(values)
    order = np.argsort(-values[known], kind="stable")
    ordered, same = values[known][order], are_same[known][order]
    if not len(ordered):
        return 0.0
    right = np.cumsum(np.where(same, 1, -1))
    right[:-1][ordered[1:] == ordered[:-1]] = -len(right)  # equal scores stay together
    best = int(right.argmax())
    if right[best] <= 0:
        return float(np.inf)
    following = ordered[best + 1] if best + 1 < len(ordered) else -np.inf
    middle = (ordered[best] + following) / 2
    return float(middle if np.isfinite(middle) else ordered[best])
