"""How often does the gate stop a release by mistake, and a bad one rightly? python tools/gate_rates.py --data DIR

Pairs of detectors are simulated (``simulated_detectors.py``) on the annotations of a split, compared as releases are
compared, and judged by the gate. In the first kind of pair the two differ by their seeds alone: an alarm is a mistake.
In the others the new one also has a planted loss of 2 mAP, spread over all classes alike, over one class, or over all
that is further away than 30 m: no alarm is a mistake. Prints a table: rates, 95 % intervals (Wilson), and which figures
raised the alarms. No sensor file is read.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
from scipy import stats
from simulated_detectors import DetectorWorld

from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.comparing.changes import Change
from avjepa.evaluate.comparing.detection import DetectionMeasure, DetectionScenes
from avjepa.evaluate.comparing.gate import PACKAGED, Gate, judged, load_gate
from avjepa.evaluate.comparing.measure import resampled

PLANTED = 0.02
ONE_CLASS = "pedestrian"
_FEWER = 4
"""So many times fewer pairs are made of losses in one place, which are easy to find."""
_CALIBRATED_ON = 8
"""Detectors over whose mean the planted loss is as large as it should be."""


class Trial:
    """One detector: its figures on all scenes, and over scenes that are drawn anew."""

    def __init__(self, scenes: DetectionScenes, world: DetectorWorld, gate: Gate, seed: int, **loss: object) -> None:
        self.measure = DetectionMeasure(scenes, scenes.matched(world.detections(seed, **loss)), gate.fewest_objects)
        self.draws = resampled(self.measure, gate.draws, gate.seed)


def alarms(old: Trial, new: Trial, gate: Gate) -> list[str]:
    """The figures at which the gate stops the new one."""
    pairs = zip(old.measure.items, old.measure.values, new.measure.values, strict=True)
    changes = [
        Change(item, before, after, new.draws[:, column] - old.draws[:, column])
        for column, (item, before, after) in enumerate(pairs)
    ]
    return [judgement.change.item.label for judgement in judged(changes, gate) if judgement.fails]


def planted(scenes: DetectionScenes, world: DetectorWorld, gate: Gate, loss_of: Callable[[float], dict]) -> dict:
    """The loss, of a family from none upwards, that costs ``PLANTED`` mAP in the mean."""

    def mean_ap(size: float) -> float:
        seeds = range(10**6, 10**6 + _CALIBRATED_ON)
        found = [scenes.matched(world.detections(seed, **loss_of(size))) for seed in seeds]
        return float(np.mean([headline(scenes, matches) for matches in found]))

    whole, low, high = mean_ap(0.0), 0.0, 6.0
    for _ in range(9):
        middle = (low + high) / 2
        low, high = (low, middle) if whole - mean_ap(middle) > PLANTED else (middle, high)
    return loss_of(high)


def headline(scenes: DetectionScenes, matches: object) -> float:
    """mAP alone."""
    without_slices = DetectionScenes(**{**vars(scenes), "slicings": ()})
    return float(DetectionMeasure(without_slices, matches, 1).values[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset with annotations")
    parser.add_argument("--version", default="v1.0-synth")
    parser.add_argument("--taxonomy", default="nuscenes_two_groups")
    parser.add_argument("--split", default="test")
    parser.add_argument("--scenes", type=int, help="only so many scenes of the split")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--draws", type=int, default=200, help="of scenes, for each comparison")
    parser.add_argument("--gate", type=Path, default=PACKAGED)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    started = monotonic()
    source = open_dataset(options.data, options.version, taxonomy=load_taxonomy(options.taxonomy))
    names = source.scenes_of(options.split)[: options.scenes]
    annotated = source.annotated_keyframes(names)
    scenes = DetectionScenes.of(annotated, source.taxonomy, source.scene_descriptions())
    points = np.maximum(annotated.lidar_points, 0) + np.maximum(annotated.radar_points, 0)
    world = DetectorWorld(scenes, points[scenes.truth.rows], seed=0)
    gate = Gate(**{**vars(load_gate(options.gate)), "draws": options.draws})
    classes = source.taxonomy.classes
    losses = {
        "seed alone": {},
        "2 mAP over all classes": planted(scenes, world, gate, lambda size: {"loss": dict.fromkeys(classes, size)}),
        f"2 mAP in {ONE_CLASS}": planted(scenes, world, gate, lambda size: {"loss": {ONE_CLASS: size}}),
        "2 mAP from 30 m on": planted(scenes, world, gate, lambda size: {"far_loss": size}),
    }
    old = [Trial(scenes, world, gate, seed) for seed in range(options.pairs)]
    print(f"{len(names)} scenes, {len(scenes.truth.boxes)} boxes, {options.pairs} pairs, {options.draws} draws")
    for kind, (name, loss) in enumerate(losses.items()):
        pairs = options.pairs if kind < 2 else options.pairs // _FEWER
        stopped, by_item, change = 0, Counter(), []
        for number, before in enumerate(old[:pairs]):
            after = Trial(scenes, world, gate, options.pairs + number, **loss)
            found = alarms(before, after, gate)
            stopped += bool(found)
            by_item.update(found)
            change.append(100 * (after.measure.values[0] - before.measure.values[0]))
        low, high = stats.binomtest(stopped, pairs).proportion_ci(method="wilson")
        print(
            f"{name:<24} stopped {stopped:>3} of {pairs} = {100 * stopped / pairs:5.1f} % "
            f"({100 * low:.1f}-{100 * high:.1f}); change of mAP {np.mean(change):+.2f} ± {np.std(change):.2f}; "
            + ", ".join(f"{item} {count}" for item, count in by_item.most_common(4)),
            flush=True,
        )
    print(f"{monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
