"""Time the nuScenes detection evaluation beside the devkit's, from the same files to the same scores.

python tools/benchmark/evaluation.py [--real DIR --real-version V --real-split S] [--large] [--csv FILE]

Both read the tables and the result file, gather the annotations, match and accumulate. Ours makes caches of the tables,
which are deleted before every round. All scores have to be equal to 1e-9. ``--large`` takes the devkit some minutes and
13 GB, so it gets one round.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Comparison, add_options, of_rounds, report
from result_files import write_result_file
from trainval_tables import KEYFRAMES, VERSION, make_tables

from avjepa.data.datasets import open_dataset
from avjepa.evaluate.detection.devkit import devkit_scores
from avjepa.evaluate.detection.fast import FastDetectionEval
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.files import write_json

LARGE = 6_019
"""Keyframes of nuScenes val."""


@dataclass(frozen=True)
class Case:
    """Predictions to be scored.

    Args:
        root, version, split: what they are scored on.
        predictions: the result file.
    """

    root: Path
    version: str
    split: str
    predictions: Path

    @classmethod
    def drawn(cls, root: Path, version: str, split: str, boxes: int) -> "Case":
        """With a result file of so many boxes a keyframe beside the tables."""
        case = cls(root, version, split, root / "predictions.json")
        write_result_file(case.predictions, open_dataset(root, version), split, boxes)
        return case

    def forget_caches(self) -> None:
        """Have our next call read the tables again."""
        for cache in (self.root / self.version).glob(".avjepa-*"):
            cache.unlink()

    def ours(self) -> DetectionScores:
        """Scores by our own evaluator."""
        source = open_dataset(self.root, self.version)
        truth = GroundTruth.of(source.annotated_keyframes(source.scenes_of(self.split)), source.taxonomy)
        return FastDetectionEval(truth, source.taxonomy).evaluate(read_result_file(self.predictions, source.taxonomy))

    def devkit(self) -> DetectionScores:
        """Scores by the devkit, which has to be told which keyframes there are."""
        source = open_dataset(self.root, self.version)
        tokens = source.keyframe_tokens(source.scenes_of(self.split))
        return devkit_scores(self.predictions, self.root, self.version, tokens, source.taxonomy.classes)


def compared(work: str, case: Case, rounds: int) -> Comparison:
    """Rounds of both, each from the files; the scores have to be the same."""
    times = []
    for _ in range(rounds):
        case.forget_caches()
        mine, ours = timed(case.ours)
        theirs, devkit = timed(case.devkit)  # with our caches: it is only the devkit that reads the tables here
        np.testing.assert_allclose(figures(mine), figures(theirs), rtol=0, atol=1e-9)
        times.append((ours, devkit))
    return of_rounds(f"{work}, devkit", times, "s")


def timed(function: Callable[[], DetectionScores]) -> tuple[DetectionScores, float]:
    """What a function returns, and the seconds that it takes."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def figures(scores: DetectionScores) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Every number of an evaluation."""
    tables = [scores.class_ap, *scores.class_ap_by_distance.values(), scores.mean_errors, *scores.class_errors.values()]
    return np.array([scores.mean_ap, scores.nd_score, *(value for table in tables for value in table.values())])


def real(folder: Path, source: Path, version: str, split: str) -> Case:
    """Real annotations and 500 boxes, as many as there may be, a keyframe."""
    shutil.copytree(source / version, folder / version, copy_function=shutil.copyfile)
    (folder / version).chmod(0o755)
    (folder / "maps").symlink_to((source / "maps").resolve())
    return Case.drawn(folder, version, split, 500)


def large(folder: Path) -> Case:
    """As many keyframes as nuScenes val has, made up, and 300 boxes each."""
    make_tables(folder / VERSION, LARGE / KEYFRAMES, seed=0)
    scenes = [f"scene-{number:04d}" for number in range(round(850 * LARGE / KEYFRAMES))]
    write_json(folder / VERSION / "splits.json", {"val": scenes})
    return Case.drawn(folder, VERSION, "val", 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=None, help="root of real annotations in nuScenes format")
    parser.add_argument("--real-version", default="v1.0-mini")
    parser.add_argument("--real-split", default="mini_val")
    parser.add_argument("--large", action="store_true", help="also 6,019 keyframes of 300 boxes, one round")
    add_options(parser, rounds=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="avjepa-evaluation-") as folder:
        if options.real is not None:
            case = real(Path(folder) / "real", options.real, options.real_version, options.real_split)
            compared("", case, 1)  # imports and the like
            keyframes = len(
                read_result_file(case.predictions, open_dataset(case.root, case.version).taxonomy).sample_tokens
            )
            rows.append(
                compared(f"detection evaluation, {keyframes} real keyframes of 500 boxes", case, options.rounds)
            )
        if options.large:
            case = large(Path(folder) / "large")
            rows.append(compared("detection evaluation, 6,019 keyframes of 300 boxes", case, 1))
    report(rows, options.csv)


if __name__ == "__main__":
    main()
