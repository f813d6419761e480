"""Intersection over union by hand."""

import math

import pytest
import torch

from avjepa.evaluate.segmentation.scores import IoUCounter


def counted(*samples: tuple[list[int] | None, list[int], list[int]]) -> IoUCounter:
    """Of one class: probabilities, truth and what is known, cell by cell."""
    counter = IoUCounter(1)
    for probability, present, known in samples:
        found = None if probability is None else torch.tensor([[probability]], dtype=torch.uint8)
        counter.add(found, torch.tensor([[present]]).bool(), torch.tensor([[known]]).bool())
    return counter


def test_intersection_and_union_are_summed_over_the_split_before_they_are_divided() -> None:
    # one half is 127.5 of 255: 128 is predicted, 127 is not
    counter = counted(
        ([128, 127, 255, 0], [1, 1, 0, 0], [1, 1, 1, 1]),  # 1 hit, 1 miss, 1 false alarm
        ([200, 200, 200, 10], [1, 1, 1, 1], [1, 1, 1, 0]),  # 3 hits, and a miss that does not count
    )
    (score,) = counter.scores()
    assert score.usual == pytest.approx(4 / 6)  # not the mean of 1/3 and 1
    assert (score.present, score.known) == (5, 7)
    # 127 is above 0.45 of 255, so the miss becomes a hit
    assert score.best == pytest.approx(5 / 6) and score.threshold == 0.35


def test_the_best_threshold_may_be_a_high_one() -> None:
    (score,) = counted(([166, 165, 150], [1, 0, 0], [1, 1, 1])).scores()
    assert score.usual == pytest.approx(1 / 3)
    assert (score.best, score.threshold) == (1.0, 0.65)  # 0.65 of 255 is 165.75


def test_a_sample_without_a_prediction_misses_everything() -> None:
    (score,) = counted((None, [1, 0], [1, 1]), ([255, 0], [1, 0], [1, 1])).scores()
    assert score.usual == pytest.approx(1 / 2)


def test_a_class_that_never_occurs_and_is_never_predicted_has_no_score() -> None:
    (score,) = counted(([0, 10], [0, 0], [1, 1])).scores()
    assert math.isnan(score.usual) and math.isnan(score.best)
    assert score.as_json()["iou"] is None
