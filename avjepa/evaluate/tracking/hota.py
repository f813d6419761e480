"""Higher order tracking accuracy (Luiten et al., IJCV 2021), by ``trackeval`` where it is installed, else by our own.

The similarity of two boxes is 1 - d / 2 m, clipped at 0, of the distance d between their centres on the ground, so
that the thresholds from .05 to .95 are distances from 1.9 m to .1 m.

``trackeval`` is for 2D video: releases after 1.0.0 need NumPy 2, which nuscenes-devkit is not for, and 1.0.0 is for
Python before 3.12 and brings an OpenCV that overwrites the devkit's. So nobody is made to install it: what stands here
is the same formula, and equal to the last digit that counts.
"""

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from avjepa.data.arrays import Array

THRESHOLDS = np.arange(1, 20) * 0.05
"""Of the similarity from which a box is found."""
NOTHING_LIKE = 2.0
"""Distance (m) at which the similarity is 0, that of the official evaluation's matches."""
_TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class SequenceMoment:
    """Annotated and tracked boxes of one class at a keyframe, with the similarity of all pairs."""

    truth: Int64[Array, "truth"]
    """Objects, numbered from 0 in the sequence."""
    tracked: Int64[Array, "box"]
    similarity: Float64[Array, "truth box"]


@dataclass(frozen=True)
class HotaCounts:
    """What HOTA is made of, at each of ``THRESHOLDS``; counts of several sequences or classes are added."""

    found: Float64[Array, "19"]
    missed: Float64[Array, "19"]
    false: Float64[Array, "19"]
    association: Float64[Array, "19"]
    """Sum over what was found of how well its object and track are one."""

    def figures(self) -> dict[str, float]:
        """HOTA, AssA and DetA from 0 to 1, means over the thresholds."""
        detection = self.found / np.maximum(1, self.found + self.missed + self.false)
        association = self.association / np.maximum(1, self.found)
        figures = {"HOTA": np.sqrt(detection * association), "AssA": association, "DetA": detection}
        return {name: float(values.mean()) for name, values in figures.items()}

    @classmethod
    def sum(cls, several: Iterable["HotaCounts"]) -> "HotaCounts":
        """Of all of them together."""
        columns = [(one.found, one.missed, one.false, one.association) for one in several]
        return cls(*np.array(columns).reshape(-1, 4, len(THRESHOLDS)).sum(0))


def similarity(truth: Float64[Array, "truth 2"], boxes: Float64[Array, "box 2"]) -> Float64[Array, "truth box"]:
    """Of centres on the ground (m)."""
    away = np.hypot(*(truth[:, None] - boxes[None]).transpose(2, 0, 1))
    result: Array = np.maximum(0.0, 1 - away / NOTHING_LIKE)
    return result


def has_trackeval() -> bool:
    """Whether ``trackeval`` is there to be used."""
    return importlib.util.find_spec("trackeval") is not None


def counts_by_trackeval(sequence: Sequence[SequenceMoment]) -> HotaCounts:
    """The counts of one class in one scene, by ``trackeval``."""
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it lacks
        metrics = importlib.import_module("trackeval.metrics")
    truth, tracked = ([getattr(moment, name) for moment in sequence] for name in ("truth", "tracked"))
    data = {
        "gt_ids": truth,
        "tracker_ids": tracked,
        "similarity_scores": [moment.similarity for moment in sequence],
        "num_gt_dets": sum(map(len, truth)),
        "num_tracker_dets": sum(map(len, tracked)),
        "num_gt_ids": _objects(truth),
        "num_tracker_ids": _objects(tracked),
    }
    found = metrics.HOTA().eval_sequence(data)
    return HotaCounts(found["HOTA_TP"], found["HOTA_FN"], found["HOTA_FP"], found["AssA"] * found["HOTA_TP"])


def counts(sequence: Sequence[SequenceMoment]) -> HotaCounts:
    """The counts of one class in one scene, by the article's formulae (equations 14 to 17 and section 5.2)."""
    shape = (_objects([moment.truth for moment in sequence]), _objects([moment.tracked for moment in sequence]))
    alike, of_truth, of_track = np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[1])
    for moment in sequence:
        either = moment.similarity.sum(1)[:, None] + moment.similarity.sum(0)[None] - moment.similarity
        part = np.divide(moment.similarity, either, out=np.zeros_like(either), where=either > _TINY)
        alike[np.ix_(moment.truth, moment.tracked)] += part
        of_truth[moment.truth] += 1
        of_track[moment.tracked] += 1
    either = of_truth[:, None] + of_track[None]
    alignment = alike / (either - alike)
    matches = np.zeros((len(THRESHOLDS), *shape))
    for moment in sequence:
        weight = alignment[np.ix_(moment.truth, moment.tracked)] * moment.similarity
        row, column = linear_sum_assignment(weight, maximize=True)
        good = moment.similarity[row, column] >= THRESHOLDS[:, None] - _TINY
        matches[:, moment.truth[row], moment.tracked[column]] += good
    found = matches.sum((1, 2))
    association = (matches**2 / np.maximum(1, either - matches)).sum((1, 2))
    return HotaCounts(found, of_truth.sum() - found, of_track.sum() - found, association)


def _objects(numbers: Sequence[Int64[Array, "_"]]) -> int:
    return 1 + max((int(some.max(initial=-1)) for some in numbers), default=-1)
