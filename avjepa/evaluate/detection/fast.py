"""The nuScenes detection metrics on whole arrays: the devkit's numbers in a fraction of its time.

For curves during training and for comparing many runs; the figure that is reported is the devkit's own.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int64
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.algo import calc_ap, calc_tp
from nuscenes.eval.detection.data_classes import DetectionMetricData, DetectionMetrics

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.schema import CLASSES
from avjepa.evaluate.detection.box_table import (
    NO_ATTRIBUTE,
    BoxTable,
    EvaluationRegion,
    annotated_boxes,
)
from avjepa.evaluate.detection.devkit import CONFIG, split_sample_tokens
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.scores import ERRORS, DetectionScores

if TYPE_CHECKING:
    from nuscenes import NuScenes

_ERRORS_NOT_DEFINED = {
    "traffic_cone": {"attr_err", "vel_err", "orient_err"},
    "barrier": {"attr_err", "vel_err"},
}
_PAIRS_AT_A_TIME = 2_000_000


class FastDetectionEval:
    """Scores result files against one split, whose annotations are prepared once.

    Args:
        nusc: the loaded dataset.
        split: a split of the devkit's or of the version's ``splits.json``.
    """

    def __init__(self, nusc: "NuScenes", split: str) -> None:
        self.config = config_factory(CONFIG)
        self.sample_tokens = split_sample_tokens(nusc, split)
        self.region = EvaluationRegion.of(nusc, self.sample_tokens, self.config.class_range)
        self.ground_truth = self.region.inside(annotated_boxes(nusc, self.sample_tokens))

    def evaluate(self, predictions: Path) -> DetectionScores:
        """Scores of an official result file.

        Raises:
            UserError: the file is not in its format, or its samples are not those of the split.
        """
        started = time.monotonic()
        maximum = self.config.max_boxes_per_sample
        predicted = self.region.inside(read_result_file(predictions).arranged(self.sample_tokens, maximum))
        metrics = DetectionMetrics(self.config)
        distances = np.array(self.config.dist_ths)
        for index, name in enumerate(CLASSES):
            truth = self.ground_truth.selected(self.ground_truth.class_index == index)
            of_class = predicted.selected(predicted.class_index == index)
            # descending by score; of equal scores the later box comes first
            ordered = of_class.selected(np.argsort(of_class.score, kind="stable")[::-1])
            matches = matched(ordered, truth, distances)
            for distance, match in zip(self.config.dist_ths, matches, strict=True):
                data = metric_data(ordered, truth, match, half_turn_is_same=name == "barrier")
                metrics.add_label_ap(name, distance, calc_ap(data, self.config.min_recall, self.config.min_precision))
                if distance == self.config.dist_th_tp:
                    for error in ERRORS:
                        undefined = error in _ERRORS_NOT_DEFINED.get(name, ())
                        value = np.nan if undefined else calc_tp(data, self.config.min_recall, error)
                        metrics.add_label_tp(name, error, value)
        metrics.add_runtime(time.monotonic() - started)
        return DetectionScores.from_devkit(metrics)


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


def metric_data(
    predicted: BoxTable, truth: BoxTable, match: Int64[Array, "prediction"], half_turn_is_same: bool
) -> DetectionMetricData:
    """Precision, confidence and errors of true positives over 101 recalls, for one class and matching distance.

    Args:
        predicted: best first.
        truth: the annotated boxes.
        match: index into ``truth``, or -1, per prediction.
        half_turn_is_same: orientation is known up to half a turn.
    """
    hit = match >= 0
    if not hit.any():
        return DetectionMetricData.no_predictions()
    true, false = np.cumsum(hit).astype(np.float64), np.cumsum(~hit).astype(np.float64)
    recalls = np.linspace(0, 1, DetectionMetricData.nelem)
    recall = true / float(len(truth))
    precision = np.interp(recalls, recall, true / (false + true), right=0)
    confidence = np.interp(recalls, recall, predicted.score, right=0)
    errors = _errors(predicted.selected(hit), truth.selected(match[hit]), half_turn_is_same)
    scores = predicted.score[hit][::-1]
    at_recalls = {
        name: np.interp(confidence[::-1], scores, _cumulative_mean(values)[::-1])[::-1]
        for name, values in errors.items()
    }
    return DetectionMetricData(recall=recalls, precision=precision, confidence=confidence, **at_recalls)


def _errors(predicted: BoxTable, truth: BoxTable, half_turn_is_same: bool) -> dict[str, Float[Array, "pair"]]:
    period = np.pi if half_turn_is_same else 2 * np.pi
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
