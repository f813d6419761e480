"""Greedy matching, held against the loop that the task's definition describes."""

import numpy as np
import pytest

from avjepa.evaluate.detection import matching
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.matching import matched

DISTANCES = np.array([0.5, 1.0, 2.0, 4.0])


def table(draw: np.random.Generator, count: int, spread: float) -> BoxTable:
    """Boxes of three classes in five samples, on a lattice, so that many distances are equal or just at a limit."""
    centre = np.round(draw.uniform(-spread, spread, size=(count, 3)) * 4) / 4
    sample, kind = draw.integers(5, size=count), np.sort(draw.integers(3, size=count))
    columns = {"size": np.ones((count, 3)), "yaw": np.zeros(count), "velocity": np.zeros((count, 2))}
    return BoxTable(sample, kind, centre, attribute=np.zeros(count, np.int64), score=np.zeros(count), **columns)


def one_after_the_other(predicted: BoxTable, truth: BoxTable, limit: float) -> list[int]:
    """As the devkit's ``accumulate``."""
    taken: set[int] = set()
    found = []
    for row in range(len(predicted)):
        nearest, best = np.inf, -1
        for box in range(len(truth)):
            same = truth.sample[box] == predicted.sample[row] and truth.class_index[box] == predicted.class_index[row]
            distance = np.linalg.norm(truth.translation[box, :2] - predicted.translation[row, :2])
            if same and box not in taken and distance < nearest:
                nearest, best = distance, box
        hit = nearest < limit
        taken |= {best} if hit else set()
        found.append(best if hit else -1)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs_at_a_time", [1, 1 << 19])
def test_matches_are_those_of_the_loop(seed: int, pairs_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_PAIRS_AT_A_TIME", pairs_at_a_time)
    draw = np.random.default_rng(seed)
    predicted, truth = table(draw, 120, spread=3.0), table(draw, 60, spread=3.0)
    found = matched(predicted, truth, DISTANCES)
    assert (found >= 0).any(1).all()
    for row, limit in zip(found, DISTANCES, strict=True):
        assert row.tolist() == one_after_the_other(predicted, truth, limit)


@pytest.mark.parametrize(("predictions", "boxes"), [(0, 0), (3, 0), (0, 3)])
def test_nothing_to_match(predictions: int, boxes: int) -> None:
    draw = np.random.default_rng(0)
    found = matched(table(draw, predictions, 1.0), table(draw, boxes, 1.0), DISTANCES)
    assert found.shape == (4, predictions)
    assert (found == -1).all()


def test_a_chain_in_which_every_prediction_waits_for_the_one_before() -> None:
    """Boxes at 0, 1, 2 ... m, and predictions midway between them: each takes the first of two that are as near."""
    count = 300
    base = table(np.random.default_rng(0), count, 1.0)
    place = np.stack((np.arange(count) * 1.0, np.zeros(count), np.zeros(count)), 1)
    same = {"sample": np.zeros(count, np.int64), "class_index": np.zeros(count, np.int64)}
    truth = BoxTable(**{**vars(base), **same, "translation": place})
    predicted = BoxTable(**{**vars(base), **same, "translation": place + np.array([0.5, 0.0, 0.0])})
    assert matched(predicted, truth, DISTANCES)[2].tolist() == list(range(count))
