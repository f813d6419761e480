from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.evaluate.label_efficiency.claims import advantage_slopes, claims
from avjepa.evaluate.label_efficiency.grid import Pretraining
from avjepa.evaluate.label_efficiency.results import publish_results, write_results
from avjepa.evaluate.label_efficiency.store import Store
from avjepa.evaluate.label_efficiency.summary import (
    Row,
    chance,
    curve,
    fully_pretrained,
    leads,
    lower_edge,
    means,
    needed,
    pretraining_lengths,
    read_table,
    write_table,
)
from tests.evaluate.label_efficiency.studies import row, small_study


def grid(method: str, mode: str, scores: dict[int, float], spread: float = 0.01, **changes: object) -> list[Row]:
    """Three seeds about each score."""
    return [
        row(method, mode, scenes, seed, score + shift * spread, **changes)
        for scenes, score in scores.items()
        for seed, shift in enumerate((-1, 0, 1))
    ]


def test_the_table_has_the_agreed_columns_and_is_read_back(tmp_path: Path) -> None:
    rows = [row("jepa", "frozen", 4, 0, 0.25), row("scratch", "frozen", 4, 0, 0.125)]
    write_table(tmp_path / "table.csv", rows)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == ("sensor,method,fraction,scenes,mode,pretrain_seed,seed,pretrain_steps,steps,mAP,NDS,hardware")
    assert lines[1] == "lidar,jepa,0.04,4,frozen,0,0,20,5,0.25,0.125,none"
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
    found = needed(scores, 0.3)
    assert found is not None and found.exact and found.amount == pytest.approx(8.0)
    # a quarter of the way from 1 to 4: 4^(1/4)
    found = needed(scores, 0.125)
    assert found is not None and found.amount == pytest.approx(2**0.5)
    least = needed(scores, 0.05)
    assert least is not None and str(least) == "≤ 1"
    assert needed(scores, 0.41) is None
    assert needed({}, 0.1) is None


SCRATCH = {1: 0.05, 4: 0.15, 16: 0.30}
FEWER = {1: 0.15, 4: 0.30, 16: 0.35}


def study_rows(jepa: dict[int, float], frozen: dict[int, float], spread: float = 0.01) -> list[Row]:
    return [
        *grid("scratch", "end_to_end", SCRATCH, spread),
        *grid("jepa", "end_to_end", jepa, spread),
        *grid("scratch", "frozen", {1: 0.01, 4: 0.02, 16: 0.03}, 0.0),
        *grid("jepa", "frozen", frozen, spread),
    ]


def test_claims_of_a_study_in_which_jepa_wins() -> None:
    frozen = {scenes: 0.95 * score for scenes, score in FEWER.items()}
    fewer, grows, little, compute, sensors = claims(study_rows(FEWER, frozen), "lidar", {})
    assert fewer.answer == "yes"
    assert "30.0 mAP with all 16 scenes" in fewer.evidence
    assert "with 4 scenes, 4 times fewer" in fewer.evidence
    # 1 deviation down: 0.29 at 4, 0.34 at 16, so a fifth of the way from 4 to 16: 4 · 4^0.2 = 5.278
    assert "with 5.28" in fewer.evidence
    # advantages .10, .15, .05 against log2 0, 2, 4: slope -.0125
    assert grows.answer == "yes"
    assert "10.0 with 1, 15.0 with 4, 5.0 with 16" in grows.evidence
    assert little.answer == "yes"
    assert "loses 5 %" in little.evidence and "backbone loses 88 %" in little.evidence
    assert compute.answer == "undecided"
    assert sensors.answer == "undecided"
    # the mean of .10, .15 and .05
    assert "camera: not studied; lidar: 10.0 mAP over scratch, mean of 3 label amounts" in sensors.evidence


def test_claims_of_a_study_in_which_jepa_loses() -> None:
    worse = {scenes: score - 0.02 for scenes, score in SCRATCH.items()}
    fewer, grows, little, _, sensors = claims(study_rows(worse, {1: 0.01, 4: 0.05, 16: 0.1}), "lidar", {})
    assert (fewer.answer, grows.answer, little.answer) == ("no", "no", "no")
    assert sensors.answer == "no"


def test_labels_saved_are_unknown_where_scratch_has_its_score_with_the_fewest() -> None:
    rows = [*grid("scratch", "end_to_end", {4: 0.3, 16: 0.3}), *grid("jepa", "end_to_end", {4: 0.4, 16: 0.4})]
    fewer = claims(rows, "lidar", {})[0]
    assert fewer.answer == "undecided" and "scratch with ≤ 4: fewer were not tried" in fewer.evidence


def test_a_lead_within_the_seeds_spread_is_no_lead() -> None:
    ahead = {1: 0.06, 4: 0.16, 16: 0.31}
    # by seed -.09, .01 and .11 ahead, with any number of scenes
    rows = [*grid("scratch", "end_to_end", SCRATCH, -0.05), *grid("jepa", "end_to_end", ahead, 0.05)]
    answers = claims(rows, "lidar", {})
    assert answers[0].answer == "no"
    assert "less one standard deviation does not" in answers[0].evidence
    assert answers[4].answer == "no"


def test_one_seed_decides_nothing_about_the_slope() -> None:
    rows = [row(method, "end_to_end", n, 0, n / 100) for method in ("scratch", "jepa") for n in (1, 4)]
    assert claims(rows, "lidar", {})[1].answer == "undecided"


def test_the_advantage_is_taken_seed_by_seed() -> None:
    rows = [row("scratch", "end_to_end", scenes, seed, 0.1 * seed) for scenes in (1, 2, 4) for seed in (0, 1)]
    rows += [row("jepa", "end_to_end", scenes, seed, 0.1 * seed + 0.3 / scenes) for scenes in (1, 2) for seed in (0, 1)]
    # .3 with 1 scene, .15 with 2: -.15 a doubling; 4 scenes have no JEPA
    assert advantage_slopes(rows, "end_to_end") == {0: pytest.approx(-0.15), 1: pytest.approx(-0.15)}


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
    assert chance(list(found[4].values())) == pytest.approx(1 - (12 / 14) ** 0.5)
    assert chance([0.1]) == 1.0
    assert chance([0.1, 0.1]) == 0.0
    assert leads(rows, "jepa", "generative", "frozen") == {}


@pytest.mark.parametrize(
    ("jepa", "answer", "words"),
    [
        ({10: 0.1, 40: 0.3}, "yes", "JEPA in 20 s"),  # .2 is half way from log 10 s to log 40 s
        ({10: 0.1, 40: 0.15}, "no", "does not in 40 s"),
        ({10: 0.3, 40: 0.4}, "yes", "at most 10 s"),
    ],
)
def test_compute_is_compared_at_the_best_generative_score(jepa: dict[int, float], answer: str, words: str) -> None:
    rows, seconds = [], {}
    for method, scores in (("generative", {15: 0.1, 60: 0.2}), ("jepa", jepa)):
        for steps, score in scores.items():
            rows += grid(method, "frozen", {1: score}, pretrain_steps=steps)
            seconds[method, steps] = float(steps)
    claim = claims(rows, "lidar", seconds)[3]
    assert claim.answer == answer
    assert "20.0 mAP (frozen, 1 labelled scenes) in 60 s" in claim.evidence
    assert words in claim.evidence


def test_one_recipe_serves_all_sensors_if_it_wins_for_each() -> None:
    rows = []
    for sensor in ("camera", "lidar", "radar"):
        rows += grid("scratch", "end_to_end", SCRATCH, sensor=sensor)
        rows += grid("jepa", "end_to_end", FEWER, sensor=sensor)
    assert claims(rows, "lidar", {})[4].answer == "yes"
    worse = [r for r in rows if r.sensor != "radar"]
    worse += grid("scratch", "end_to_end", FEWER, sensor="radar") + grid("jepa", "end_to_end", SCRATCH, sensor="radar")
    assert claims(worse, "lidar", {})[4].answer == "no"


def test_results_of_a_study_are_written_and_published(tmp_path: Path) -> None:
    study, store = small_study(), Store(tmp_path / "out")
    for job in study.jobs():
        if isinstance(job, Pretraining):
            cost = {"pretrain_seconds": 3.0 * job.steps, "batch_size": 4, "rank_centred": 9.0, "probe_precision": None}
            store.finish(job.name, {"seconds": 1.0, **cost})
    for cell in study.cells():
        score = 0.1 + 0.01 * cell.scenes + (0.1 if cell.backbone.steps == 20 else 0.0)
        cell_row = row(
            cell.backbone.method, cell.mode, cell.scenes, cell.seed, score, pretrain_steps=cell.backbone.steps
        )
        store.finish(cell.name, {"seconds": 360.0, **vars(cell_row)})
    page = write_results(study, store, tmp_path / "out", "avjepa label-efficiency", {"synthetic": {"seed": 7}})
    text = page.read_text()
    assert "12.5 %" in text  # one of eight scenes
    assert "none; 1.8 hours of it in all." in text  # 18 cells of six minutes
    assert "| JEPA | 21.0 ± 0.0 | 24.0 ± 0.0 |" in text
    assert "14.0 mAP, end to end with 4 scenes" in text
    assert "| scratch | end to end | 4 | 1 |" in text
    assert "| JEPA | frozen backbone | ≤ 1 | ≥ 4 |" in text
    assert "| scratch | frozen backbone | 10.0 ± 0.0 (<.001) | 10.0 ± 0.0 (<.001) |" in text
    assert "| JEPA | 11.0 ± 0.0 | – | 21.0 ± 0.0 | – |" in text  # after 5 and after 20 steps of pre-training
    assert "seed': 7" in text and "`avjepa label-efficiency`" in text
    pictures = {path.name for path in page.parent.glob("*.png")}
    expected = {"labels_frozen", "labels_end_to_end", "compute_seconds", "compute_samples", "rank"}
    assert pictures == {f"{name}.png" for name in expected}
    assert all(f"]({name})" in text for name in pictures)

    write_table(tmp_path / "docs" / "label_efficiency.csv", [row("jepa", "frozen", 1, 0, 0.5, sensor="radar")])
    for _ in range(2):  # again replaces the sensor's own rows
        publish_results(tmp_path / "out", tmp_path / "docs", "lidar")
    rows = read_table(tmp_path / "docs" / "label_efficiency.csv")
    assert len(rows) == 1 + len(study.cells())
    published = (tmp_path / "docs" / "label_efficiency_lidar.md").read_text()
    assert "](label_efficiency_lidar_rank.png)" in published
    assert (tmp_path / "docs" / "label_efficiency_lidar_rank.png").stat().st_size > 0
