"""Curves of runs whose files have gaps."""

from pathlib import Path

import numpy as np
import pytest

from avjepa.report.curves import PRETRAINING_PANELS, Line, Panel, curves_figure, finite, smoothed
from avjepa.training.metrics import read_curves

NAN = float("nan")


def test_what_is_not_finite_is_left_out_and_later_values_stand() -> None:
    curves = {"loss": ([1, 2, 3, 2, 4], [1.0, 9.0, NAN, 5.0, float("inf")])}
    steps, values = finite(curves, "loss")
    assert steps.tolist() == [1, 2] and values.tolist() == [1.0, 5.0]
    assert len(finite(curves, "absent")[0]) == 0


def test_smoothing_keeps_lines_and_lessens_noise() -> None:
    assert np.allclose(smoothed(np.full(50, 3.0), 9), 3.0)
    ramp = np.arange(50.0)
    assert np.allclose(smoothed(ramp, 9)[4:-4], ramp[4:-4])
    noise = np.random.default_rng(0).normal(size=4000)
    assert smoothed(noise, 101).std() == pytest.approx(1 / np.sqrt(101), rel=0.25)


def test_a_file_as_loggers_write_it(tmp_path: Path) -> None:
    """Empty fields, NaN, a metric that comes late, a last line cut short by a killed process."""
    path = tmp_path / "metrics.csv"
    path.write_text(
        "epoch,step,train/loss,collapse/rank_centred\n0,1,0.9,\n0,2,nan,12.5\n0,3,0.5,\n,,,\n0,4,0.4,11.0\n0,5,0.3"
    )
    figure = curves_figure({"run": read_curves(path)}, PRETRAINING_PANELS)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Loss", "Effective rank (RankMe)"]
    loss = figure.axes[0].lines[0]
    assert loss.get_xdata().tolist() == [1, 3, 4, 5] and loss.get_ydata().tolist() == [0.9, 0.5, 0.4, 0.3]


def test_runs_are_overlaid_in_their_own_colours() -> None:
    panel = Panel("Loss", (Line("loss"),), reference=(1.0, "chance"))
    runs = {"scratch": {"loss": ([1, 2], [2.0, 1.0])}, "jepa": {"loss": ([1, 2], [1.5, 0.5])}, "empty": {}}
    figure = curves_figure(runs, [panel], colours={"jepa": "#123456"})
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] != 1.0]
    assert len(drawn) == 2 and drawn[1].get_color() == "#123456" and drawn[0].get_color() != "#123456"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["scratch", "JEPA", "empty"]


def test_a_run_that_logged_nothing() -> None:
    figure = curves_figure({"run": {"loss": ([], [])}})
    assert not figure.axes and figure.texts[0].get_text() == "nothing was logged"
