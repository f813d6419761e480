"""Which annotated box each prediction finds: greedily by score, the nearest centre first."""

import numpy as np
from jaxtyping import Float, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.detection.box_table import BoxTable

_PAIRS_AT_A_TIME = 2_000_000


def matched(
    predicted: BoxTable, truth: BoxTable, distances: Float[Array, "distance"]
) -> Int64[Array, "distance prediction"]:
    """Greedy matching of one class: each prediction, best first, takes the nearest box of its sample that is free.

    Samples do not interact, so the k-th best predictions of all samples are matched at once.

    Args:
        predicted: best first.
        truth: boxes to be matched.
        distances: a match is strictly nearer than this (m, in the ground plane).

    Returns:
        Index of the matched box in ``truth``, or -1.
    """
    match = np.full((len(distances), len(predicted)), -1, np.int64)
    samples = 1 + max(predicted.sample.max(initial=-1), truth.sample.max(initial=-1))
    if not len(truth) or not len(predicted):
        return match
    slot = _rank_within(truth.sample)
    padded = np.full((samples, slot.max() + 1), -1, np.int64)
    padded[truth.sample, slot] = np.arange(len(truth))
    centres = np.full((*padded.shape, 2), np.inf)
    centres[truth.sample, slot] = truth.translation[:, :2]

    # most predictions are near no box at all and can never match
    near = _nearest(predicted, centres) < distances.max()
    (candidates,) = np.nonzero(near)
    rank = _rank_within(predicted.sample[candidates])
    taken = np.zeros((len(distances), *padded.shape), np.bool_)
    by_rank = np.split(candidates[np.argsort(rank, kind="stable")], np.cumsum(np.bincount(rank))[:-1])
    for turn in by_rank:
        sample = predicted.sample[turn]
        offset = predicted.translation[turn, None, :2] - centres[sample]
        free = np.where(taken[:, sample], np.inf, np.sqrt((offset**2).sum(-1)))
        choice = free.argmin(-1)
        nearest = np.take_along_axis(free, choice[..., None], -1)[..., 0]
        level, which = np.nonzero(nearest < distances[:, None])
        chosen = choice[level, which]
        taken[level, sample[which], chosen] = True
        match[level, turn[which]] = padded[sample[which], chosen]
    return match


def _rank_within(group: Int64[Array, "item"]) -> Int64[Array, "item"]:
    """How many earlier items have the same group."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.concatenate(([0], np.nonzero(np.diff(ordered))[0] + 1)) if len(group) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(group)))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(starts, lengths)
    return rank


def _nearest(predicted: BoxTable, centres: Float[Array, "sample slot 2"]) -> Float[Array, "prediction"]:
    """Distance of each prediction to the nearest box of its sample; infinite without any."""
    step = max(1, _PAIRS_AT_A_TIME // centres.shape[1])
    parts = []
    for start in range(0, len(predicted), step):
        offset = predicted.translation[start : start + step, None, :2] - centres[predicted.sample[start : start + step]]
        parts.append(np.sqrt((offset**2).sum(-1)).min(-1))
    return np.concatenate(parts)
