import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from avjepa.errors import UserError
from avjepa.report.scores import score_bars_figure
from avjepa.report.seed_statistics import paired_p_value
from avjepa.study import result_plots
from avjepa.study.jobs import Pretraining
from avjepa.study.plan import LongerTraining
from avjepa.study.result_plots import draw
from avjepa.study.results import publish_results, write_results
from avjepa.study.store import Store
from avjepa.study.summary import (
    curve,
    fully_pretrained,
    labels_to_reach,
    leads,
    lower_edge,
    means,
    pretraining_lengths,
    read_table,
    write_table,
)
from tests.study.studies import grid, row, small_study


def test_the_table_has_the_agreed_columns_and_is_read_back(tmp_path: Path) -> None:
    rows = [row("jepa", "frozen", 4, 0, 0.25), row("scratch", "frozen", 4, 0, 0.125)]
    write_table(tmp_path / "table.csv", rows)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == ("sensor,method,fraction,scenes,mode,pretrain_seed,seed,pretrain_steps,steps,mAP,NDS,hardware")
    assert lines[1] == "lidar,jepa,0.25,4,frozen,0,0,20,5,0.25,0.125,none"
    assert read_table(tmp_path / "table.csv") == rows
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"table\.csv"):
        read_table(tmp_path / "table.csv")


def test_a_curve_is_that_of_the_longest_pretraining() -> None:
    rows = [*grid("jepa", "frozen", {1: 0.2}), *grid("jepa", "frozen", {1: 0.1}, pretrain_steps=10)]
    assert curve(rows, "jepa", "frozen") == {1: {0: 0.19, 1: 0.2, 2: pytest.approx(0.21)}}
    assert means(curve(rows, "jepa", "frozen")) == {1: pytest.approx(0.2)}
    # the sample standard deviation of -1, 0, 1 is 1
    assert lower_edge(curve(rows, "jepa", "frozen")) == {1: pytest.approx(0.19)}


def test_methods_compare_at_one_length_of_pretraining() -> None:
    rows = [
        *grid("scratch", "frozen", {4: 0.1}, pretrain_steps=0),
        *grid("jepa", "frozen", {4: 0.2}),
        *grid("jepa", "frozen", {4: 0.15}, pretrain_steps=10),
        *grid("shorter", "frozen", {4: 0.3, 8: 0.4}, pretrain_steps=10),
    ]
    assert fully_pretrained(rows) == {"scratch", "jepa"}
    found = pretraining_lengths(rows, "frozen", 4)
    assert {method: set(lengths) for method, lengths in found.items()} == {"jepa": {10, 20}, "shorter": {10}}
    assert found["shorter"][10] == {0: pytest.approx(0.29), 1: 0.3, 2: pytest.approx(0.31)}


def test_labels_needed_are_interpolated_in_the_logarithm() -> None:
    scores = {1: 0.1, 4: 0.2, 16: 0.4}
    # half way from 0.2 to 0.4 is half way from log 4 to log 16
    found = labels_to_reach(scores, 0.3)
    assert found is not None and found.exact and found.amount == pytest.approx(8.0)
    # a quarter of the way from 1 to 4: 4^(1/4)
    found = labels_to_reach(scores, 0.125)
    assert found is not None and found.amount == pytest.approx(2**0.5)
    least = labels_to_reach(scores, 0.05)
    assert least is not None and str(least) == "≤ 1"
    assert labels_to_reach(scores, 0.41) is None
    assert labels_to_reach({}, 0.1) is None


def test_cells_that_were_trained_for_longer_stand_apart() -> None:
    rows = [*grid("jepa", "frozen", {1: 0.2, 2: 0.3}), *grid("jepa", "frozen", {1: 0.5}, steps=9)]
    assert means(curve(rows, "jepa", "frozen")) == {1: pytest.approx(0.2), 2: pytest.approx(0.3)}
    assert means(curve(rows, "jepa", "frozen", steps=9)) == {1: pytest.approx(0.5)}


def test_leads_are_paired_and_their_chance_is_that_of_students_t() -> None:
    rows = [row("scratch", "frozen", 4, seed, score) for seed, score in enumerate((0.1, 0.3, 0.2, 0.9))]
    rows += [row("jepa", "frozen", 4, seed, score) for seed, score in enumerate((0.11, 0.32, 0.23))]
    found = leads(rows, "jepa", "scratch", "frozen")
    assert found == {4: {seed: pytest.approx(lead) for seed, lead in enumerate((0.01, 0.02, 0.03))}}
    # mean .02, deviation .01, 3 values: t = 2·√3; with 2 degrees of freedom p = 1 - t/√(2 + t²) = 1 - √(12/14)
    assert paired_p_value(list(found[4].values())) == pytest.approx(1 - (12 / 14) ** 0.5)
    assert paired_p_value([0.1]) == 1.0
    assert paired_p_value([0.1, 0.1]) == 0.0
    assert leads(rows, "jepa", "generative", "frozen") == {}


def test_one_amount_of_labels_is_drawn_as_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line needs two points; one length of pre-training makes no plot of compute."""
    drawn: list[Mapping[str, Mapping[str, Sequence[float]]]] = []

    def bars(groups: Mapping[str, Mapping[str, Sequence[float]]], *, vertical: str) -> Figure:
        drawn.append(groups)
        return score_bars_figure(groups, vertical=vertical)

    monkeypatch.setattr(result_plots, "score_bars_figure", bars)
    rows = [*grid("scratch", "frozen", {4: 0.25}), *grid("jepa", "frozen", {4: 0.5})]
    rows += [*grid("jepa", "end_to_end", {4: 0.5, 8: 0.6})]
    cost = {"pretrain_seconds": 30.0, "batch_size": 4}
    draw(tmp_path, rows, {Pretraining("jepa", seed, 20): cost for seed in range(3)})
    assert [list(groups) for groups in drawn] == [["4 labelled scenes"]]
    means_of = {method: statistics.fmean(scores) for method, scores in drawn[0]["4 labelled scenes"].items()}
    assert means_of == {"scratch": pytest.approx(25), "jepa": pytest.approx(50)}
    assert {path.name for path in tmp_path.iterdir()} == {"labels_frozen.png", "labels_end_to_end.png"}


def test_results_of_a_study_are_written_and_published(tmp_path: Path) -> None:
    few_and_all = tuple(replace(method, scenes=(1, 8)) for method in small_study().methods)
    longer = LongerTraining(50, ("scratch", "jepa"), (1, 8), ("frozen", "end_to_end"))
    study, store = small_study(methods=few_and_all, longer=longer), Store(tmp_path / "out")
    for job in study.jobs():
        if isinstance(job, Pretraining):
            cost = {"pretrain_seconds": 3.0 * job.steps, "batch_size": 4, "rank_centred": 9.0 + job.steps}
            # the probe says the same of all: no picture
            store.finish(job.name, {"seconds": 1.0, "probe_precision": 0.5, **cost})
    for cell in study.runs():
        score = 0.1 + 0.01 * cell.scenes + (0.1 if cell.backbone.steps == 20 else 0.0)
        score += 0.2 if cell.steps else 0.0  # a cell of the longer training
        changes = {"pretrain_steps": cell.backbone.steps, "fraction": cell.scenes / study.total_scenes}
        changes["steps"] = cell.steps or study.steps
        cell_row = row(cell.backbone.method, cell.mode, cell.scenes, cell.seed, score, **changes)
        store.finish(cell.name, {"seconds": 360.0, **vars(cell_row)})
    for name in ("labels_frozen_9.png", "mine.png"):
        (tmp_path / "out" / name).touch()
    page = write_results(study, store, tmp_path / "out", "avjepa label-efficiency", {"synthetic": {"seed": 7}})
    assert not (tmp_path / "out" / "labels_frozen_9.png").exists(), "of an earlier state of the study"
    (tmp_path / "out" / "mine.png").unlink()  # and nobody else has
    text = page.read_text()
    assert "12.5 %" in text  # one of eight scenes
    assert "none; 3.4 hours of it in all." in text  # 18 cells of six minutes, 16 of the longer training
    assert "| JEPA | 21.0 ± 0.0 | 28.0 ± 0.0 |" in text
    assert "18.0 mAP, end to end with 8 scenes" in text
    assert text.count("| scratch | end to end | 8 | 1 |") == 2, "after 5 and after 50 steps"
    assert "score of scratch with all labels, after 50 steps\n\n38.0 mAP" in text
    assert "| JEPA | frozen backbone | 50 | 41.0 ± 0.0 | 48.0 ± 0.0 |" in text
    assert "| JEPA less scratch | end to end | 50 | 10.0 ± 0.0 (<.001) | 10.0 ± 0.0 (<.001) |" in text
    assert "| JEPA | frozen backbone | ≤ 1 | ≥ 8 |" in text
    assert "| scratch | frozen backbone | 10.0 ± 0.0 (<.001) | 10.0 ± 0.0 (<.001) |" in text
    assert "| JEPA | 11.0 ± 0.0 | – | 21.0 ± 0.0 | – |" in text  # after 10 and after 20 steps of pre-training
    assert "Data: synthetic (seed 7); 8 scenes with labels" in text and "`avjepa label-efficiency`" in text
    pictures = {path.name for path in page.parent.glob("*.png")}
    expected = {"labels_frozen", "labels_end_to_end", "compute_seconds", "compute_samples", "rank"}
    expected |= {"labels_frozen_50", "labels_end_to_end_50"}
    assert pictures == {f"{name}.png" for name in expected}
    assert all(f"]({name})" in text for name in pictures)

    write_table(tmp_path / "docs" / "label_efficiency.csv", [row("jepa", "frozen", 1, 0, 0.5, sensor="radar")])
    stale, others = (tmp_path / "docs" / f"label_efficiency_{name}_probe.png" for name in ("lidar", "lidar_zoo"))
    for picture in (stale, others):
        picture.touch()
    for _ in range(2):  # again replaces the sensor's own rows
        publish_results(tmp_path / "out", tmp_path / "docs", "lidar")
    rows = read_table(tmp_path / "docs" / "label_efficiency.csv")
    assert len(rows) == 1 + len(study.runs())
    published = (tmp_path / "docs" / "label_efficiency_lidar.md").read_text()
    assert "](label_efficiency_lidar_rank.png)" in published
    assert (tmp_path / "docs" / "label_efficiency_lidar_rank.png").stat().st_size > 0
    assert others.exists() and not stale.exists()
