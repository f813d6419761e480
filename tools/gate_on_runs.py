"""The gate on real detectors that differ by the seed alone: python tools/gate_on_runs.py RUN RUN ... [--split test]

Each RUN is a finished ``avjepa finetune`` that was evaluated on the split; all were trained alike but for their seed.
Prints, for every figure, how much two of them differ (root mean square) and the mean standard error of a difference
over scenes, beside those of as many simulated detectors (``simulated_detectors.py``); then how many ordered pairs the
gate stops, as they are, and after the second one lost detections at random until 2 mAP were lost in the mean.
"""

import argparse
import itertools
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from simulated_detectors import DetectorWorld

from avjepa.data.arrays import Array
from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.comparing.changes import Change
from avjepa.evaluate.comparing.detection import DetectionMeasure, DetectionScenes
from avjepa.evaluate.comparing.gate import PACKAGED, Gate, judged, load_gate
from avjepa.evaluate.comparing.measure import resampled
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.result_file import read_result_file

PLANTED = 0.02

Figures = tuple[DetectionMeasure, Array]
"""Of a detector, on all scenes and in every draw."""


def figures(scenes: DetectionScenes, boxes: BoxTable, gate: Gate) -> Figures:
    measure = DetectionMeasure(scenes, scenes.matched(boxes), gate.fewest_objects)
    return measure, resampled(measure, gate.draws, gate.seed)


def compared(old: Figures, new: Figures) -> list[Change]:
    pairs = zip(old[0].items, old[0].values, new[0].values, strict=True)
    return [
        Change(item, float(before), float(after), new[1][:, column] - old[1][:, column])
        for column, (item, before, after) in enumerate(pairs)
    ]


def spread(all_figures: Sequence[Figures]) -> tuple[Array, Array]:
    """Root mean square of the differences between two, and their mean standard error over scenes; in points."""
    pairs = [compared(old, new) for old, new in itertools.combinations(all_figures, 2)]
    differences = np.array([[one.value for one in pair] for pair in pairs])
    errors = np.array([[one.standard_error for one in pair] for pair in pairs])
    return 100 * np.sqrt((differences**2).mean(axis=0)), 100 * errors.mean(axis=0)


def stopped(old: Sequence[Figures], new: Sequence[Figures], gate: Gate) -> str:
    """How many of the ordered pairs of different seeds the gate stops."""
    pairs = itertools.permutations(range(len(old)), 2)
    alarms = [any(one.fails for one in judged(compared(old[a], new[b]), gate)) for a, b in pairs]
    return f"{sum(alarms)} of {len(alarms)} pairs"


def thinned(scenes: DetectionScenes, tables: Sequence[BoxTable], seed: int = 0) -> list[BoxTable]:
    """The detections without a random share of them, which costs ``PLANTED`` mAP in the mean."""
    bare = replace(scenes, slicings=())
    chance = [np.random.default_rng(seed + number).random(len(table)) for number, table in enumerate(tables)]

    def kept(share: float) -> list[BoxTable]:
        return [table.selected(drawn >= share) for table, drawn in zip(tables, chance, strict=True)]

    def mean_ap(share: float) -> float:
        return float(np.mean([DetectionMeasure(bare, bare.matched(table), 1).values[0] for table in kept(share)]))

    whole, low, high = mean_ap(0.0), 0.0, 1.0
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (low, middle) if whole - mean_ap(middle) > PLANTED else (middle, high)
    return kept(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--draws", type=int, default=300)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    gate = replace(load_gate(PACKAGED), draws=options.draws)
    data = yaml.safe_load((options.runs[0] / "config.yaml").read_text(encoding="utf-8"))["data"]
    taxonomy = load_taxonomy(data["taxonomy"])
    source = open_dataset(data["dataroot"], data["version"], taxonomy=taxonomy)
    annotated = source.annotated_keyframes(source.scenes_of(options.split))
    scenes = DetectionScenes.of(annotated, taxonomy, source.scene_descriptions())
    points = np.maximum(annotated.lidar_points, 0) + np.maximum(annotated.radar_points, 0)
    world = DetectorWorld(scenes, points[scenes.truth.rows], seed=0)
    files = [run / "evaluation" / options.split / "predictions.json" for run in options.runs]
    tables = [read_result_file(file, taxonomy).arranged(scenes.truth.sample_tokens, 500) for file in files]
    real = [figures(scenes, table, gate) for table in tables]
    drawn = [figures(scenes, world.detections(seed), gate) for seed in range(len(tables))]
    columns = zip(real[0][0].items, *spread(real), *spread(drawn), strict=True)
    print("| figure | trained: seeds | scenes | simulated: seeds | scenes |\n|---|---|---|---|---|")
    for item, *values in columns:
        print(f"| {item.label} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    print(f"stopped: {stopped(real, real, gate)}")
    worse = [figures(scenes, table, gate) for table in thinned(scenes, tables)]
    print(f"stopped with 2 mAP less: {stopped(real, worse, gate)}", flush=True)


if __name__ == "__main__":
    main()
