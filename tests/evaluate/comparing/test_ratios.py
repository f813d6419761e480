"""IoU and rank-1 of scenes that count several times."""

import math

import numpy as np
import pytest

from avjepa.evaluate.comparing.measure import Item
from avjepa.evaluate.comparing.ratios import IOU, MEAN_IOU, RANK1, Ratios


def test_a_ratio_is_that_of_the_sums_and_the_headline_the_mean() -> None:
    items = [Item(IOU, "road", 100, 3), Item(IOU, "car", 20, 2)]
    hits = np.array([[50.0, 30.0, 0.0], [5.0, 0.0, 5.0]])
    union = np.array([[60.0, 30.0, 10.0], [10.0, 0.0, 20.0]])
    measure = Ratios(items, hits, union, MEAN_IOU)
    assert [item.label for item in measure.items] == ["mIoU", "IoU road", "IoU car"]
    assert measure.values == pytest.approx([(0.8 + 1 / 3) / 2, 0.8, 1 / 3])
    twice_the_first = measure.weighted(np.array([[2, 1, 0]], np.float32))[0]
    assert twice_the_first[1:] == pytest.approx([130 / 150, 10 / 20])


def test_a_draw_with_nothing_to_score_is_no_number() -> None:
    measure = Ratios([Item(RANK1, "", 4, 1)], np.array([[3.0, 0.0]]), np.array([[4.0, 0.0]]))
    assert measure.values == pytest.approx([0.75])
    assert math.isnan(measure.weighted(np.array([[0, 2]], np.float32))[0, 0])
