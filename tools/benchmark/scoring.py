"""Score a run on tables as large as nuScenes trainval's, everything but the prediction, beside the devkit.

python tools/benchmark/scoring.py [--out DIR] [--rounds 1] [--csv docs/results/speed.csv]

Tables and a result file are made below --out, by default a temporary folder: 2.5 GB. Every scoring runs in a process of
its own; what it imports is left out of its time and counted in its memory. Ours is measured twice: as the first
command that reads the tables, which makes caches beside them, and as any later one.
"""

import argparse
import importlib
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from comparison import Comparison, add_options, of_rounds, report
from result_files import write_result_file
from trainval_tables import VERSION, make_tables

from avjepa.data.datasets import open_dataset
from avjepa.processes import peak_resident_bytes

BOXES = 100
"""Predicted in each of the 5,690 keyframes of the split."""


def score(root: Path, fast: bool) -> tuple[float, float]:
    """Score as ``avjepa evaluate`` does once it has predicted; seconds and the process's greatest memory (GiB)."""
    if not fast:
        importlib.import_module("avjepa.evaluate.detection.devkit")  # a fast scoring does without
    from avjepa.evaluate.detection.scoring import evaluate_detection
    from avjepa.heads.task import ScoredSplit

    start = time.perf_counter()
    split = ScoredSplit(open_dataset(root, VERSION), "val")
    assert evaluate_detection(root / "predictions.json", split, root / "out", fast) is not None
    return time.perf_counter() - start, peak_resident_bytes() / 2**30


def measured(root: Path, fast: bool, forget: bool = False) -> tuple[float, float]:
    """Seconds and memory of a scoring in a process of its own."""
    for cache in (root / VERSION).glob(".avjepa-*") if forget else ():
        cache.unlink()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # what fails there is raised here
        return pool.submit(score, root, fast).result()


def compared(root: Path, rounds: int) -> Sequence[Comparison]:
    """The rows: seconds and memory, ours as the first command and as a later one."""
    first, again, devkit = [], [], []
    for _ in range(rounds):
        first.append(measured(root, fast=True, forget=True))
        again.append(measured(root, fast=True))
        devkit.append(measured(root, fast=False))
    rows = []
    for name, ours in (("caches to be made", first), ("caches there", again)):
        for what, unit, column in (("time", "s", 0), ("greatest memory", "GiB", 1)):
            pairs = [(mine[column], theirs[column]) for mine, theirs in zip(ours, devkit, strict=True)]
            work = f"scoring {BOXES} boxes a keyframe on tables of nuScenes trainval's size, {name}: {what}, devkit"
            rows.append(of_rounds(work, pairs, unit))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=None, help="folder for the tables; kept, and used if they are there"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of nuScenes trainval's size")
    add_options(parser, rounds=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avjepa-scoring-") as folder:
        root = options.out or Path(folder)
        if not (root / VERSION / "splits.json").is_file():  # the last that is written
            make_tables(root / VERSION, options.scale, seed=0)
        if not (root / "predictions.json").is_file():
            write_result_file(root / "predictions.json", open_dataset(root, VERSION), "val", BOXES)
        report(compared(root, options.rounds), options.csv)


if __name__ == "__main__":
    main()
