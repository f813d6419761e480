"""The AP of scenes that count several times."""

import numpy as np
import pytest

from avjepa.evaluate.comparing.weighted_precision import MOST_CUTS, SceneCounts
from avjepa.evaluate.detection.curves import Curve


def drawn(seed: int, predictions: int, scenes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, scenes, predictions)
    hit = rng.random(predictions) < np.linspace(1, rng.random(), predictions)
    return scene, hit, np.bincount(scene[hit], minlength=scenes) + rng.integers(0, 3, scenes)


def ordinary(hit: np.ndarray, boxes: int) -> float:
    return Curve.of_hits(np.linspace(1, 0.1, len(hit)), hit, boxes).average_precision()


@pytest.mark.parametrize("seed", range(40))
def test_with_all_weights_one_it_is_the_ordinary_one(seed: int) -> None:
    scene, hit, boxes = drawn(seed, 1 + 3 * seed, 4)
    boxes[0] += 1
    found = SceneCounts.of(scene, hit, boxes).average_precision(np.ones((2, 4), np.float32))
    expected = ordinary(hit, int(boxes.sum())) if hit.any() else 0.0
    assert found == pytest.approx([expected] * 2, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_scene_that_counts_twice_is_as_good_as_there_twice(seed: int) -> None:
    scene, hit, boxes = drawn(seed, 5_000, 6)
    weights = np.array([2, 1, 0, 1, 0, 2])
    twice = np.repeat(np.arange(len(scene)), weights[scene])
    found = SceneCounts.of(scene, hit, boxes).average_precision(weights[None].astype(np.float32))
    assert found[0] == pytest.approx(ordinary(hit[twice], int(weights @ boxes)), abs=5e-4)


def test_long_curves_are_cut_to_a_bounded_number_of_places() -> None:
    scene, hit, boxes = drawn(0, 20_000, 6)
    counts = SceneCounts.of(scene, hit, boxes)
    assert counts.true.shape == counts.false.shape == (6, MOST_CUTS)
    assert counts.true[:, -1].sum() == hit.sum() and counts.false[:, -1].sum() == (~hit).sum()


def test_without_a_box_there_is_no_precision() -> None:
    counts = SceneCounts.of(np.array([0, 1]), np.array([True, False]), np.array([1, 0]))
    assert np.isnan(counts.average_precision(np.array([[0, 1]], np.float32))).all()
