"""The metrics file tells one story, whatever happened to the run."""

from pathlib import Path

import pandas
import pytest

from avjepa.errors import UserError
from avjepa.training.metrics import MetricsFile, read_curves


def test_other_readers_see_a_plain_table(tmp_path: Path) -> None:
    log = MetricsFile(str(tmp_path))
    log.log_metrics({"loss": 1.5, "epoch": 0.0}, 0)
    log.log_metrics({"loss": 0.5, "rank": 7.0}, 1)
    log.log_metrics({"rank": float("nan"), "loss": 0.25}, 2)
    table = pandas.read_csv(tmp_path / "metrics.csv")
    assert list(table.columns) == ["step", "loss", "rank"]
    assert table["loss"].tolist() == [1.5, 0.5, 0.25]
    assert table["rank"].isna().tolist() == [True, False, True]


def test_a_resumed_run_replaces_what_the_killed_one_logged_too_far(tmp_path: Path) -> None:
    killed = MetricsFile(str(tmp_path))
    for step in range(5):
        killed.log_metrics({"loss": float(step), "rank": 1.0}, step)
    resumed = MetricsFile(str(tmp_path))
    for step in range(3, 6):
        resumed.log_metrics({"loss": 10.0 + step}, step)
    curves = read_curves(tmp_path / "metrics.csv")
    assert curves["loss"] == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 13, 14, 15])
    assert curves["rank"] == ([0, 1, 2], [1, 1, 1])


def test_a_row_cut_off_by_a_kill_does_not_stop_a_resume(tmp_path: Path) -> None:
    killed = MetricsFile(str(tmp_path))
    killed.log_metrics({"loss": 1.0, "rank": 2.0}, 0)
    killed.log_metrics({"loss": 3.25, "rank": 4.0}, 1)
    path = tmp_path / "metrics.csv"
    path.write_text(path.read_text()[:-6])
    MetricsFile(str(tmp_path)).log_metrics({"loss": 5.0}, 1)
    assert read_curves(path)["loss"] == ([0, 1], [1, 5])


def test_a_fresh_run_starts_a_fresh_file(tmp_path: Path) -> None:
    MetricsFile(str(tmp_path)).log_metrics({"loss": 1.0}, 7)
    MetricsFile(str(tmp_path)).log_metrics({"loss": 2.0}, 0)
    assert read_curves(tmp_path / "metrics.csv") == {"loss": ([0], [2])}


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,loss\n0,good\n")
    with pytest.raises(UserError, match=r"metrics\.csv"):
        read_curves(tmp_path / "metrics.csv")
