"""The devkit's own nuScenes tracking scores, on any split of a dataset whose tables it can load."""

import contextlib
import io
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from avjepa.evaluate.detection.devkit import DevkitError, filtered

CONFIG = "tracking_nips_2019"
"""The devkit's configuration of the tracking task, the one of the leaderboard."""


def devkit_tracking_scores(
    files: Mapping[str, Path], dataroot: Path, version: str, sample_tokens: Sequence[str], scenes: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of some files: by file, by class (and "all"), by the devkit's names of its metrics.

    Loading, filtering, interpolation, matching and metrics are the devkit's. Only two things differ: the devkit refuses
    splits named train or val on any version but its own, and it fails where a split has no box at all.

    Args:
        files: official files that list exactly the samples of ``sample_tokens``, already checked.
        dataroot: folder of the dataset.
        version: e.g. ``v1.0-trainval``.
        sample_tokens: the samples to score.
        scenes: names of their scenes.

    Raises:
        DevkitError: the devkit cannot load the tables, or cannot score on them.
    """
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return _scores(files, dataroot, version, list(sample_tokens), list(scenes))
    except Exception as error:  # the devkit checks nothing: a table that it does not expect raises anything
        raise DevkitError(" ".join(str(error).split()) or type(error).__name__) from error


def _scores(
    files: Mapping[str, Path], dataroot: Path, version: str, sample_tokens: list[str], scenes: list[str]
) -> dict[str, dict[str, dict[str, float]]]:
    from nuscenes import NuScenes
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import load_gt_of_sample_tokens, load_prediction
    from nuscenes.eval.tracking.data_classes import TrackingBox
    from nuscenes.eval.tracking.evaluate import TrackingEval
    from nuscenes.eval.tracking.loaders import create_tracks

    split = "scored"
    nusc, config = NuScenes(version=version, dataroot=str(dataroot), verbose=False), config_factory(CONFIG)
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "splits.json").write_text(json.dumps({split: scenes}), encoding="utf-8")
        tables = SimpleNamespace(get=nusc.get, dataroot=folder, version="")  # with the split that is asked for
        truth = filtered(nusc, load_gt_of_sample_tokens(nusc, sample_tokens, TrackingBox), config.class_range)
        for name, path in files.items():
            boxes, _ = load_prediction(str(path), config.max_boxes_per_sample, TrackingBox)
            evaluation = TrackingEval.__new__(TrackingEval)  # what its constructor would read is read above
            evaluation.cfg, evaluation.verbose = config, False
            evaluation.output_dir, evaluation.render_classes = folder, None
            evaluation.tracks_gt = create_tracks(truth, tables, split, gt=True)
            evaluation.tracks_pred = create_tracks(filtered(nusc, boxes, config.class_range), tables, split, gt=False)
            metrics, _ = evaluation.evaluate()
            result[name] = {
                kind: {metric: metrics.compute_metric(metric, kind) for metric in metrics.metric_names}
                for kind in ("all", *metrics.class_names)
            }
    return result
