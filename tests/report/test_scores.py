"""Means, spread, and sentences that claim no more than they may."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from avjepa.report.scores import method_colours, score_bars_figure, score_lines_figure
from avjepa.report.seed_statistics import Spread
from avjepa.report.verdict import verdict


def test_spread_by_hand() -> None:
    spread = Spread.of([2.0, 4.0, 9.0, float("nan")])
    assert spread.mean == 5 and spread.std == pytest.approx(math.sqrt((9 + 1 + 16) / 2)) and spread.seeds == 3
    assert spread.text() == "5.0 ± 3.6"
    assert Spread.of([3.21]).text(2) == "3.21"  # the spread of one seed is unknown, not zero
    assert Spread.of([]).text() == "–"


def test_every_method_has_a_colour_of_its_own() -> None:
    methods = ["scratch", "jepa", "generative", "invariance", *(f"mine {n}" for n in range(9))]
    assert len(set(method_colours(methods).values())) == len(methods)


def test_lines_go_through_the_means_on_a_logarithmic_axis() -> None:
    scores = {"scratch": {0.01: [10.0, 12.0], 1.0: [40.0]}, "jepa": {1.0: [41.0], 0.01: [15.0, 17.0], 0.1: []}}
    figure = score_lines_figure(scores, horizontal="labels", vertical="mAP (%)", ticks="{:.0%}")
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["scratch"].get_xydata().tolist() == [[0.01, 11.0], [1.0, 40.0]]
    assert lines["JEPA"].get_xydata().tolist() == [[0.01, 16.0], [1.0, 41.0]]
    figure.draw_without_rendering()
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1%", "10%", "100%"]


def test_bars_are_as_high_as_the_means() -> None:
    groups = {"lidar": {"scratch": [10.0, 20.0], "jepa": [30.0]}, "radar": {"jepa": [5.0]}}
    axes = score_bars_figure(groups, vertical="mAP (%)").axes[0]
    assert sorted(patch.get_height() for patch in axes.patches) == [5.0, 15.0, 30.0]


def test_a_clear_difference_is_called_one() -> None:
    text = verdict("mAP", ("JEPA", [30.0, 30.5, 31.0]), ("scratch", [20.0, 20.4, 20.2]))
    assert "**gain**" in text and "+10.3" in text
    assert "**loss**" in verdict("mAP", ("JEPA", [20.0, 20.4, 20.2]), ("scratch", [30.0, 30.5, 31.0]))


def test_welch_by_hand() -> None:
    # means 12 and 10, variances 1 and 4, n = 4: t = 2 / sqrt(1/4 + 4/4), degrees of freedom 1.25² / (.25²/3 + 1²/3)
    probability = 2 * student.sf(2 / math.sqrt(1.25), 1.5625 / (1.0625 / 3))
    low = np.array([10 - math.sqrt(6), 10, 10, 10 + math.sqrt(6)])
    high = np.array([12 - math.sqrt(1.5), 12, 12, 12 + math.sqrt(1.5)])
    assert f"p = {probability:.3f}" in verdict("mAP", ("JEPA", high.tolist()), ("scratch", low.tolist()))


@pytest.mark.parametrize(
    ("ours", "baseline"),
    [([30.0], [10.0]), ([30.0, 31.0], [10.0]), ([22.0, 26.0], [20.0, 24.0]), ([20.0, 20.0], [10.0, 10.0]), ([], [1.0])],
)
def test_nothing_is_claimed_without_evidence(ours: list[float], baseline: list[float]) -> None:
    text = verdict("mAP", ("JEPA", ours), ("scratch", baseline))
    assert "**gain**" not in text and "**loss**" not in text


def test_noise_alone_is_seldom_called_a_difference() -> None:
    generator = np.random.default_rng(0)
    texts = [
        verdict("mAP", ("JEPA", list(generator.normal(20, 1, 3))), ("scratch", list(generator.normal(20, 1, 3))))
        for _ in range(600)
    ]
    assert sum("**" in text for text in texts) < 0.08 * len(texts)
