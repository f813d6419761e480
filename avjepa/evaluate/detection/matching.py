"""Which annotated box each prediction finds: greedily by score, the nearest centre first."""

import itertools

import numpy as np
from jaxtyping import Float, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.pairs import expanded

_PAIRS_AT_A_TIME = 1 << 19


def matched(
    predicted: BoxTable, truth: BoxTable, distances: Float[Array, "distance"]
) -> Int64[Array, "distance prediction"]:
    """Greedy matching within each class: every prediction, best first, takes the nearest free box of its sample.

    Args:
        predicted: best first within each class.
        truth: boxes to be matched.
        distances: a match is strictly nearer than this (m, in the ground plane).

    Returns:
        Index of the matched box in ``truth``, or -1.
    """
    prediction, box, distance = _near_pairs(predicted, truth, float(distances.max()))
    nearest_first = np.lexsort((distance, prediction))
    prediction, box, distance = prediction[nearest_first], box[nearest_first], distance[nearest_first]
    match = np.full((len(distances), len(predicted)), -1, np.int64)
    for row, limit in zip(match, distances, strict=True):
        near = distance < limit
        _match_greedily(prediction[near], box[near], row, len(truth))
    return match


def _near_pairs(
    predicted: BoxTable, truth: BoxTable, limit: float
) -> tuple[Int64[Array, "pair"], Int64[Array, "pair"], Float[Array, "pair"]]:
    """Rows of a prediction and a box of its class and sample, and their distance, which is below ``limit``.

    In order of the predictions, those of one prediction in order of the boxes. Most predictions are near no box.
    """
    samples = 1 + max(predicted.sample.max(initial=-1), truth.sample.max(initial=-1))
    group, wanted = (table.class_index * samples + table.sample for table in (truth, predicted))
    by_group = np.argsort(group, kind="stable")
    box_x, box_y = truth.translation[by_group, 0], truth.translation[by_group, 1]
    x, y = predicted.translation[:, 0], predicted.translation[:, 1]
    size = np.bincount(group, minlength=1 + wanted.max(initial=0))
    first, count = (np.cumsum(size) - size)[wanted], size[wanted]
    end = np.cumsum(count)
    starts = np.unique(np.searchsorted(end, np.arange(0, count.sum(), _PAIRS_AT_A_TIME), "right"))
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start, stop in itertools.pairwise([*starts.tolist(), len(wanted)]):
        prediction, place = expanded(first[start:stop], count[start:stop])
        prediction += start
        along = x[prediction] - box_x[place]
        (near,) = np.nonzero(np.abs(along) <= limit)
        prediction, place = prediction[near], place[near]
        distance = np.sqrt(along[near] ** 2 + (y[prediction] - box_y[place]) ** 2)
        near = distance < limit
        found.append((prediction[near], by_group[place[near]], distance[near]))
    prediction, box, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    return prediction, box, distance


def _match_greedily(
    prediction: Int64[Array, "pair"], box: Int64[Array, "pair"], match: Int64[Array, "prediction"], boxes: int
) -> None:
    """Fill in the matches among pairs that are sorted by prediction, best first, the nearest box first.

    In every round all predictions are matched of which it is certain already: those to whose nearest free box none that
    comes before is near.
    """
    best, taken = np.empty(boxes, np.int64), np.zeros(boxes, np.bool_)
    while len(prediction):
        is_nearest = np.diff(prediction, prepend=-1) != 0
        best[box[::-1]] = prediction[::-1]  # of those near a box the first in order, which is written last
        certain = is_nearest & (best[box] == prediction)
        match[prediction[certain]] = box[certain]
        taken[box[certain]] = True
        left = (match[prediction] < 0) & ~taken[box]
        prediction, box = prediction[left], box[left]
