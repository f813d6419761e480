"""Official nuScenes detection scores, on any split of any dataset in the schema."""

from pathlib import Path
from typing import TYPE_CHECKING

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
from rich.console import Console

from avjepa.data.nuscenes.splits import official_splits, splits_of
from avjepa.errors import UserError
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.scores import DetectionScores

if TYPE_CHECKING:
    from nuscenes import NuScenes

CONFIG = "detection_cvpr_2019"
"""The devkit's configuration of the detection task, the one of the leaderboard."""


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

    def __init__(self, nusc: "NuScenes", config: DetectionConfig, predictions: Path, sample_tokens: list[str]) -> None:
        self.nusc, self.cfg, self.verbose = nusc, config, False
        self.pred_boxes, self.meta = load_prediction(str(predictions), config.max_boxes_per_sample, DetectionBox)
        self.gt_boxes = self._filtered(load_gt_of_sample_tokens(nusc, sample_tokens, DetectionBox))
        self.pred_boxes = self._filtered(self.pred_boxes)
        self.sample_tokens = self.gt_boxes.sample_tokens

    def _filtered(self, boxes: EvalBoxes) -> EvalBoxes:
        if not boxes.all:
            return boxes
        return filter_eval_boxes(self.nusc, add_center_dist(self.nusc, boxes), self.cfg.class_range)


def split_sample_tokens(nusc: "NuScenes", split: str) -> list[str]:
    """Samples of a split, in the order of the sample table.

    Raises:
        UserError: neither the devkit nor ``splits.json`` knows the split for this version, or it has no samples.
    """
    splits = splits_of(Path(nusc.dataroot) / nusc.version, official_splits(nusc.version))
    if split not in splits:
        raise UserError(f"split '{split}' does not exist in {nusc.version}; choose one of {sorted(splits)}")
    scenes = set(splits[split])
    wanted = {scene["token"] for scene in nusc.scene if scene["name"] in scenes}
    tokens = [sample["token"] for sample in nusc.sample if sample["scene_token"] in wanted]
    if not tokens:
        raise UserError(f"split '{split}': {nusc.version} holds none of its scenes; choose another split")
    return tokens


def load_nuscenes(dataroot: Path, version: str) -> "NuScenes":
    """The devkit's view of a dataset.

    Raises:
        UserError: there is no such version, or its tables cannot be loaded.
    """
    from nuscenes import NuScenes

    if not (dataroot / version).is_dir():
        raise UserError(f"{dataroot / version}: no such folder; check the data root and the version")
    try:
        return NuScenes(version=version, dataroot=str(dataroot), verbose=False)
    except (AssertionError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{dataroot / version}: the devkit cannot load it ({error}); run avjepa inspect") from error


def evaluate_detection(
    predictions: Path, dataroot: Path, version: str, split: str, out_dir: Path, nusc: "NuScenes | None" = None
) -> DetectionScores:
    """Score an official result file; print a table and write ``metrics.json`` into ``out_dir``.

    Args:
        predictions: JSON in the format of the nuScenes detection task; every sample of the split has an entry.
        dataroot: folder of the dataset.
        version: e.g. ``v1.0-trainval``.
        split: a split of the devkit's or of the version's ``splits.json``.
        out_dir: created if need be.
        nusc: the dataset, if it is loaded already.

    Raises:
        UserError: a file is missing or not in its format, or the samples are not those of the split.
    """
    result = read_result_file(predictions)
    nusc = nusc or load_nuscenes(dataroot, version)
    tokens = split_sample_tokens(nusc, split)
    config = config_factory(CONFIG)
    result.arranged(tokens, config.max_boxes_per_sample)
    try:
        evaluation = SplitDetectionEval(nusc, config, predictions, tokens)
        metrics, _ = evaluation.evaluate()
    except (AssertionError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{dataroot / version}: the devkit cannot score it ({reason}); run avjepa inspect") from error
    scores = DetectionScores.from_devkit(metrics)
    scores.save(
        out_dir / "metrics.json", version=version, split=split, samples=len(tokens), predictions=predictions.name,
        evaluator=f"nuscenes-devkit {CONFIG}", seconds=round(metrics.eval_time, 3), sensors=evaluation.meta,
    )  # fmt: skip
    console = Console()
    # narrower than this, names and figures are cut
    console.print(scores.table(f"{version} {split}: {len(tokens)} samples"), width=max(console.width, 96))
    return scores
