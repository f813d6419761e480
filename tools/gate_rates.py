"""How often does the gate stop a release by mistake, and a bad one rightly? python tools/gate_rates.py --data DIR

Pairs of detectors are simulated (``simulated_detectors.py``) on the annotations of a split, compared as releases are
compared, and judged by the gate. In the first kind of pair the two differ by their seeds alone: an alarm is a mistake.
In the others the new one also has a planted loss of 2 mAP, spread over all classes alike, in one class, or in all that
is further away than 30 m: no alarm is a mistake. Prints rates, 95 % intervals (Wilson), and which figures raised most
of the alarms. No sensor file is read.
"""

import argparse
import multiprocessing
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from scipy import stats
from simulated_detectors import DetectorWorld

from avjepa.data.arrays import Array
from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.comparing.changes import Change
from avjepa.evaluate.comparing.detection import DetectionMeasure, DetectionScenes
from avjepa.evaluate.comparing.gate import PACKAGED, Gate, judged, load_gate
from avjepa.evaluate.comparing.measure import Item, resampled

PLANTED = 0.02
ONE_CLASS = "pedestrian"
_ALONE, _EVEN = "seed alone", "2 mAP over all classes"
_FEWER = 4
"""So many times fewer pairs are made of losses in one place, which are easy to find."""
_CALIBRATED_ON = 8
"""Detectors over whose mean the planted loss is as large as it should be."""


@dataclass(frozen=True)
class Simulation:
    """Pairs of detectors, and a gate that judges them.

    Attributes:
        scenes: what they are held against.
        world: draws them.
        gate: judges.
        losses: of the new one, by kind; arguments of ``DetectorWorld.detections``.
        pairs: of each kind.
    """

    scenes: DetectionScenes
    world: DetectorWorld
    gate: Gate
    losses: Mapping[str, Mapping[str, Any]]
    pairs: int

    def judged_pair(self, number: int) -> dict[str, tuple[list[str], float]]:
        """By kind: the figures at which the gate stops the new one, and the change of mAP."""
        old = self._figures(number)
        result = {}
        for kind, loss in self.losses.items():
            if kind in (_ALONE, _EVEN) or number % _FEWER == 0:
                items, values, draws = self._figures(self.pairs + number, **loss)
                found = [
                    Change(item, float(old[1][column]), float(values[column]), draws[:, column] - old[2][:, column])
                    for column, item in enumerate(items)
                ]
                failing = [one.change.item.label for one in judged(found, self.gate) if one.fails]
                result[kind] = failing, found[0].value
        return result

    def _figures(self, seed: int, **loss: Any) -> tuple[tuple[Item, ...], Array, Array]:
        """The figures of a detector, on all scenes and in every draw."""
        matches = self.scenes.matched(self.world.detections(seed, **loss))
        measure = DetectionMeasure(self.scenes, matches, self.gate.fewest_objects)
        return measure.items, measure.values, resampled(measure, self.gate.draws, self.gate.seed)


_simulation: Simulation
"""Of this process, which children inherit."""


def judged_pair(number: int) -> dict[str, tuple[list[str], float]]:
    """See ``Simulation``."""
    return _simulation.judged_pair(number)


def planted(
    scenes: DetectionScenes, world: DetectorWorld, loss_of: Callable[[float], dict[str, Any]]
) -> dict[str, Any]:
    """The loss, of a family from none upwards, that costs ``PLANTED`` mAP in the mean."""
    bare = replace(scenes, slicings=())

    def mean_ap(size: float) -> float:
        seeds = range(10**6, 10**6 + _CALIBRATED_ON)
        found = [bare.matched(world.detections(seed, **loss_of(size))) for seed in seeds]
        return float(np.mean([DetectionMeasure(bare, matches, 1).values[0] for matches in found]))

    whole, low, high = mean_ap(0.0), 0.0, 6.0
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if whole - mean_ap(middle) > PLANTED else (middle, high)
    return loss_of(high)


def report(results: list[dict[str, tuple[list[str], float]]], kind: str) -> str:
    """A line on all pairs of a kind."""
    own = [result[kind] for result in results if kind in result]
    stopped = sum(bool(failing) for failing, _ in own)
    low, high = stats.binomtest(stopped, len(own)).proportion_ci(method="wilson")
    change = 100 * np.array([value for _, value in own])
    by_figure = Counter(label for failing, _ in own for label in failing).most_common(4)
    return (
        f"{kind:<24} stopped {stopped:>3} of {len(own):>3} = {100 * stopped / len(own):5.1f} % "
        f"({100 * low:.1f}-{100 * high:.1f}); change of mAP {change.mean():+.2f} ± {change.std():.2f}; "
        + ", ".join(f"{label} {count}" for label, count in by_figure)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset with annotations")
    parser.add_argument("--version", default="v1.0-synth")
    parser.add_argument("--taxonomy", default="nuscenes_two_groups")
    parser.add_argument("--split", default="test")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--draws", type=int, default=200, help="of scenes, for each comparison")
    parser.add_argument("--gate", type=Path, default=PACKAGED)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    started = monotonic()
    source = open_dataset(options.data, options.version, taxonomy=load_taxonomy(options.taxonomy))
    annotated = source.annotated_keyframes(source.scenes_of(options.split))
    scenes = DetectionScenes.of(annotated, source.taxonomy, source.scene_descriptions())
    points = np.maximum(annotated.lidar_points, 0) + np.maximum(annotated.radar_points, 0)
    world = DetectorWorld(scenes, points[scenes.truth.rows], seed=0)
    losses = {
        _ALONE: {},
        _EVEN: planted(scenes, world, lambda size: {"loss": dict.fromkeys(source.taxonomy.classes, size)}),
        f"2 mAP in {ONE_CLASS}": planted(scenes, world, lambda size: {"loss": {ONE_CLASS: size}}),
        "2 mAP from 30 m on": planted(scenes, world, lambda size: {"far_loss": size}),
    }
    gate = replace(load_gate(options.gate), draws=options.draws)
    global _simulation
    _simulation = Simulation(scenes, world, gate, losses, options.pairs)
    print(f"{len(scenes.scenes)} scenes, {len(scenes.truth.boxes)} boxes, {options.draws} draws", flush=True)
    results = []
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for result in pool.imap(judged_pair, range(options.pairs)):
            results.append(result)
            if len(results) % 50 == 0:
                print(f"{len(results)} pairs, {monotonic() - started:.0f} s")
                print("\n".join(report(results, kind) for kind in losses), flush=True)


if __name__ == "__main__":
    main()
