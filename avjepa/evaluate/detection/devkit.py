"""The devkit's own nuScenes detection scores, on any split of a dataset whose tables it can load."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.loaders import (
    add_center_dist,
    filter_eval_boxes,
    load_gt_of_sample_tokens,
    load_prediction,
)
from nuscenes.eval.detection.data_classes import DetectionBox, DetectionConfig
from nuscenes.eval.detection.evaluate import DetectionEval

from avjepa.evaluate.detection.scores import DetectionScores

CONFIG = "detection_cvpr_2019"
"""The devkit's configuration of the detection task, the one of the leaderboard."""


class DevkitError(Exception):
    """Why the devkit cannot score, in a few words."""


class SplitDetectionEval(DetectionEval):  # type: ignore[misc]
    """The devkit's ``DetectionEval`` for a list of samples instead of a split whose name the devkit knows.

    Loading, filtering, matching and metrics are the devkit's. Only two things differ: the devkit refuses splits named
    train or val on any version but its own, and it fails where a split has no box at all.

    Args:
        nusc: the loaded dataset.
        config: the devkit's configuration.
        predictions: an official result file that lists exactly the samples of ``sample_tokens``, already checked.
        sample_tokens: the samples to score.
    """

    def __init__(self, nusc: NuScenes, config: DetectionConfig, predictions: Path, sample_tokens: list[str]) -> None:
        self.nusc, self.cfg, self.verbose = nusc, config, False
        self.pred_boxes, self.meta = load_prediction(str(predictions), config.max_boxes_per_sample, DetectionBox)
        truth = load_gt_of_sample_tokens(nusc, sample_tokens, DetectionBox)
        self.gt_boxes = filtered(nusc, truth, config.class_range)
        self.pred_boxes = filtered(nusc, self.pred_boxes, config.class_range)
        self.sample_tokens = self.gt_boxes.sample_tokens


def filtered(nusc: NuScenes, boxes: EvalBoxes, class_range: Mapping[str, int | float]) -> EvalBoxes:
    """The boxes that count in the devkit's evaluation; it fails where there is none at all."""
    return filter_eval_boxes(nusc, add_center_dist(nusc, boxes), class_range) if boxes.all else boxes


def devkit_scores(
    predictions: Path, dataroot: Path, version: str, sample_tokens: Sequence[str], classes: Sequence[str]
) -> DetectionScores:
    """Scores by the devkit, which loads the whole dataset: 8 GB for nuScenes trainval. Its bars and lines stay unseen.

    Args:
        predictions: an official result file that lists exactly the samples of ``sample_tokens``, already checked.
        dataroot: folder of the dataset.
        version: e.g. ``v1.0-trainval``.
        sample_tokens: the samples to score.
        classes: in the order of the table.

    Raises:
        DevkitError: the devkit cannot load the tables, or cannot score on them.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            nusc = NuScenes(version=version, dataroot=str(dataroot), verbose=False)
            evaluation = SplitDetectionEval(nusc, config_factory(CONFIG), predictions, list(sample_tokens))
            metrics, _ = evaluation.evaluate()
    except Exception as error:  # the devkit checks nothing: a table that it does not expect raises anything
        raise DevkitError(" ".join(str(error).split()) or type(error).__name__) from error
    return DetectionScores.from_devkit(metrics, classes)
