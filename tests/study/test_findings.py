import pytest

from avjepa.study.findings import advantage_slopes, findings
from avjepa.study.summary import Row
from tests.study.studies import grid, row

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
    fewer, grows, little, compute, sensors = findings(study_rows(FEWER, frozen), "lidar", {})
    assert fewer.answer == "yes"
    assert "30.0 mAP with all 16 scenes after 5 steps" in fewer.evidence
    assert "with 4 scenes, 4 times fewer" in fewer.evidence
    # 1 deviation down: 0.29 at 4, 0.34 at 16, so a fifth of the way from 4 to 16: 4 · 4^0.2 = 5.278
    assert "with 5.28" in fewer.evidence
    # with 4 it is level, with 16 every seed is .05 ahead
    assert "With 16, which was tried, it is 5.0 ahead of scratch with all (paired t-test, p = 0.000)" in fewer.evidence
    # advantages .10, .15, .05 against log2 0, 2, 4: slope -.0125
    assert grows.answer == "yes"
    assert "10.0 with 1, 15.0 with 4, 5.0 with 16" in grows.evidence
    assert little.answer == "yes"
    # seed by seed 1 - .9 / .95 of every end-to-end score, give or take what a spread of .01 makes of it
    assert "loses 5 ± 0 %" in little.evidence and "backbone loses 88 %" in little.evidence
    assert compute.answer == "undecided"
    assert sensors.answer == "undecided"
    # the mean of .10, .15 and .05
    assert "camera: not studied; lidar: 10.0 mAP over scratch, mean of 3 label amounts" in sensors.evidence


def test_claims_of_a_study_in_which_jepa_loses() -> None:
    worse = {scenes: score - 0.02 for scenes, score in SCRATCH.items()}
    fewer, grows, little, _, sensors = findings(study_rows(worse, {1: 0.01, 4: 0.05, 16: 0.1}), "lidar", {})
    # two points behind with every number of scenes: nothing is shown to grow or to shrink
    assert (fewer.answer, grows.answer, little.answer) == ("no", "undecided", "no")
    assert sensors.answer == "no"
    # one point ahead with one scene, ten with sixteen, every seed
    more = {1: SCRATCH[1] + 0.01, 4: SCRATCH[4] + 0.05, 16: SCRATCH[16] + 0.1}
    assert findings(study_rows(more, FEWER), "lidar", {})[1].answer == "no"


def test_labels_saved_are_unknown_where_scratch_has_its_score_with_the_fewest() -> None:
    rows = [*grid("scratch", "end_to_end", {4: 0.3, 16: 0.3}), *grid("jepa", "end_to_end", {4: 0.4, 16: 0.4})]
    fewer = findings(rows, "lidar", {})[0]
    assert fewer.answer == "undecided" and "scratch with ≤ 4: fewer were not tried" in fewer.evidence


def test_the_claims_rest_on_the_longest_training() -> None:
    """After 5 steps four scenes do what all 16 do; after 50 it takes all 16, and JEPA has the same with 8."""
    rows = [*grid("scratch", "end_to_end", {1: 0.1, 4: 0.2, 16: 0.2}), *grid("jepa", "end_to_end", {4: 0.4, 16: 0.4})]
    short = findings(rows, "lidar", {})[0]
    assert short.answer == "undecided" and "fewer were not tried" in short.evidence
    rows += grid("scratch", "end_to_end", {4: 0.3, 16: 0.5}, steps=50)
    rows += grid("jepa", "end_to_end", {16: 0.55}, steps=50)
    assert "after 5 steps" in findings(rows, "lidar", {})[0].evidence, "one amount of JEPA's shows no curve"
    rows += grid("jepa", "end_to_end", {4: 0.45}, steps=50)
    fewer, grows, *_ = findings(rows, "lidar", {})
    # half of the way from .45 to .55: 8 scenes
    assert (
        "Scratch has 50.0 mAP with all 16 scenes after 50 steps; JEPA's mean reaches it with 8 scenes" in fewer.evidence
    )
    assert fewer.answer == "yes"
    assert "after 50 steps, by scenes: 15.0 with 4, 5.0 with 16" in grows.evidence


def test_all_labels_of_another_length_are_none_of_this_one() -> None:
    rows = [*grid("scratch", "end_to_end", {1: 0.05, 4: 0.1}), *grid("jepa", "end_to_end", {1: 0.1, 4: 0.2})]
    rows += grid("scratch", "end_to_end", {16: 0.5}, steps=50)
    assert findings(rows, "lidar", {})[0].answer == "undecided"


def test_the_claim_about_all_sensors_is_for_one_of_them() -> None:
    rows = study_rows(FEWER, FEWER)
    assert len(findings(rows, "lidar", {})) == 5 and len(findings(rows, "lidar_zoo", {})) == 4


def test_frozen_and_end_to_end_are_compared_after_the_same_steps() -> None:
    rows = [*grid("jepa", "frozen", {4: 0.2}), *grid("jepa", "end_to_end", {4: 0.4})]
    rows += grid("jepa", "end_to_end", {4: 0.9}, steps=50)
    assert "loses 50 ± 1 % of its end-to-end mAP after 5 steps" in findings(rows, "lidar", {})[2].evidence
    rows += grid("jepa", "frozen", {4: 0.72}, steps=50)
    assert "loses 20 ± 0 % of its end-to-end mAP after 50 steps" in findings(rows, "lidar", {})[2].evidence


def test_a_lead_within_the_seeds_spread_is_no_lead() -> None:
    ahead = {1: 0.06, 4: 0.16, 16: 0.31}
    # by seed -.09, .01 and .11 ahead, with any number of scenes
    rows = [*grid("scratch", "end_to_end", SCRATCH, -0.05), *grid("jepa", "end_to_end", ahead, 0.05)]
    answers = findings(rows, "lidar", {})
    assert answers[0].answer == "undecided"
    assert "less one standard deviation does not" in answers[0].evidence
    assert answers[4].answer == "undecided"


def test_one_seed_decides_nothing() -> None:
    scores = {"scratch": {1: 0.1, 4: 0.2}, "jepa": {1: 0.25, 4: 0.3}, "generative": {1: 0.2, 4: 0.25}}
    rows = [
        row(method, mode, n, 0, score)
        for method, by_scenes in scores.items()
        for n, score in by_scenes.items()
        for mode in ("frozen", "end_to_end")
    ]
    seconds = {(r.method, r.pretrain_steps): 10.0 for r in rows}
    answers = findings(rows, "lidar", seconds)
    assert [finding.answer for finding in answers] == ["undecided"] * 5
    assert all("one seed" in answers[number].evidence for number in (2, 3))


def test_a_lead_over_all_labels_that_may_be_chance_decides_nothing() -> None:
    """Two seeds, .02 and .05 ahead: the mean less a deviation is above scratch, and p = .26 (t = 2.33, one degree)."""
    rows = [row("scratch", "end_to_end", n, seed, n / 160) for n in (1, 16) for seed in (0, 1)]
    rows += [row("jepa", "end_to_end", n, seed, 0.12 + 0.03 * seed) for n in (4, 16) for seed in (0, 1)]
    rows += [row("jepa", "end_to_end", 1, seed, 0.01 + 0.01 * seed) for seed in (0, 1)]
    fewer = findings(rows, "lidar", {})[0]
    assert fewer.answer == "undecided" and "may be chance" in fewer.evidence


def test_nothing_learned_is_no_score_to_reach() -> None:
    kinds = (("scratch", "end_to_end"), ("jepa", "end_to_end"), ("jepa", "frozen"))
    rows = [row(method, mode, n, seed, 0.0) for method, mode in kinds for n in (1, 16) for seed in (0, 1)]
    fewer, _, little, *_ = findings(rows, "lidar", {})
    assert fewer.answer == little.answer == "undecided"
    assert "learned nothing" in fewer.evidence and "no score" in little.evidence


def test_what_was_not_studied_and_what_has_no_time_are_told_apart() -> None:
    rows = [*grid("jepa", "frozen", {4: 0.2}, pretrain_steps=20)]
    assert findings(rows, "lidar", {})[3].evidence == "Generative pre-training was not studied."
    rows += grid("generative", "frozen", {4: 0.2}, pretrain_steps=20)
    assert "JEPA: nobody knows how long it took" in findings(rows, "lidar", {("generative", 20): 5.0})[3].evidence


def test_the_advantage_is_taken_seed_by_seed() -> None:
    rows = [row("scratch", "end_to_end", scenes, seed, 0.1 * seed) for scenes in (1, 2, 4) for seed in (0, 1)]
    rows += [row("jepa", "end_to_end", scenes, seed, 0.1 * seed + 0.3 / scenes) for scenes in (1, 2) for seed in (0, 1)]
    # .3 with 1 scene, .15 with 2: -.15 a doubling; 4 scenes have no JEPA
    assert advantage_slopes(rows, "end_to_end") == {0: pytest.approx(-0.15), 1: pytest.approx(-0.15)}


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
    claim = findings(rows, "lidar", seconds)[3]
    assert claim.answer == answer
    assert "20.0 mAP (frozen, 1 labelled scene) in 60 s" in claim.evidence
    assert words in claim.evidence


def test_one_recipe_serves_all_sensors_if_it_wins_for_each() -> None:
    rows = []
    for sensor in ("camera", "lidar", "radar"):
        rows += grid("scratch", "end_to_end", SCRATCH, sensor=sensor)
        rows += grid("jepa", "end_to_end", FEWER, sensor=sensor)
    assert findings(rows, "lidar", {})[4].answer == "yes"
    worse = [r for r in rows if r.sensor != "radar"]
    worse += grid("scratch", "end_to_end", FEWER, sensor="radar") + grid("jepa", "end_to_end", SCRATCH, sensor="radar")
    assert findings(worse, "lidar", {})[4].answer == "no"


def test_nothing_is_said_of_all_labels_where_scratch_had_a_part() -> None:
    rows = [*grid("scratch", "end_to_end", {1: 0.1, 8: 0.3}), *grid("jepa", "end_to_end", {1: 0.3, 8: 0.4})]
    claim = findings(rows, "lidar", {})[0]
    assert claim.answer == "undecided"
    assert "all labels" in claim.evidence
