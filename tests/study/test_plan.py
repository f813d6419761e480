import itertools
from dataclasses import replace

import pytest

from avjepa.data.sampling.scenes import chosen_scenes
from avjepa.errors import UserError
from avjepa.study.jobs import Pretraining, Run, Setting, Trial, backbone_of
from avjepa.study.plan import LongerTraining, Means, Method, Tuning, labelled_scenes
from tests.study.studies import small_study


@pytest.mark.parametrize(
    ("labels", "total", "scenes"),
    [
        (["1%", "2%", "5%", "10%", "20%", "50%", "100%"], 700, (7, 14, 35, 70, 140, 350, 700)),
        (["1%", "2%", "5%", "100%"], 40, (1, 2, 40)),  # 0.4 and 0.8 of a scene are one scene, 2 are 2
        (["7%"], 100, (7,)),
        ([5, 1, "100%", 8], 8, (1, 5, 8)),
    ],
)
def test_label_amounts_are_whole_scenes(labels: list[int | str], total: int, scenes: tuple[int, ...]) -> None:
    assert labelled_scenes(labels, total) == scenes


@pytest.mark.parametrize(("entry", "words"), [
    (0, "0 is no scene; give at least 1"), ("-5%", "'-5%' is no scene"), ("some", "'some'"),
    (9, "9, more than the training split has; give at most 8"), ("101%", "'101%' is 9 scenes, more than"),
])  # fmt: skip
def test_impossible_label_amounts_are_refused(entry: int | str, words: str) -> None:
    with pytest.raises(UserError, match=f"means.a.labels: .*{words}"):
        labelled_scenes([entry], 8, "means.a.labels")


def test_scenes_of_a_smaller_amount_lie_within_those_of_a_larger_one() -> None:
    names = [f"scene-{number:04d}" for number in range(40)]
    for seed in range(3):
        subsets = [set(chosen_scenes(names, count, seed)) for count in labelled_scenes(["1%", "10%", 7, "50%"], 40)]
        assert [len(subset) for subset in subsets] == [1, 4, 7, 20]
        assert all(small < large for small, large in itertools.pairwise(subsets))
    assert chosen_scenes(names, 4, 0) != chosen_scenes(names, 4, 1)


def test_every_method_gets_the_same_cells_and_the_same_search() -> None:
    study = small_study()
    cells = study.runs()
    longest = {cell for cell in cells if cell.backbone.steps in (0, 20)}
    of = {
        name: {(c.mode, c.scenes, c.seed, c.backbone.seed) for c in longest if c.backbone.method == name}
        for name in ("scratch", "jepa")
    }
    assert of["scratch"] == of["jepa"]
    assert len(of["jepa"]) == 2 * 2 * 2  # modes, label amounts, seeds
    # the shorter pre-training is scored frozen with one scene only
    assert {(c.mode, c.scenes) for c in set(cells) - longest} == {("frozen", 1)}
    trials = {name: [trial.setting for trial in study.trials(name, "end_to_end")] for name in ("scratch", "jepa")}
    assert trials["scratch"] == trials["jepa"]
    assert len(trials["jepa"]) == 2
    assert study.trials("jepa", "frozen") == [], "one setting leaves nothing to choose"


def test_every_seed_has_a_pretraining_of_its_own() -> None:
    assert {(c.seed, c.backbone.seed) for c in small_study().runs()} == {(0, 0), (1, 1)}
    shared = small_study(seeds=(0, 1, 2, 3), pretrain_seeds=(7, 8)).runs()
    assert {(c.seed, c.backbone.seed) for c in shared} == {(0, 7), (1, 8), (2, 7), (3, 8)}


def test_jobs_have_names_of_their_own_and_come_after_what_they_need() -> None:
    study = small_study()
    jobs = study.jobs()
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    for job in jobs:
        assert all(names.index(need.name) < names.index(job.name) for need in study.needs(job))
    cell = next(job for job in jobs if isinstance(job, Run) and job.mode == "end_to_end")
    kinds = [type(need) for need in study.needs(cell)]
    assert kinds == [Pretraining, Trial, Trial]
    assert all(backbone_of(need).method == cell.backbone.method for need in study.needs(cell))


def test_trials_that_differ_in_the_layer_decay_have_names_of_their_own() -> None:
    cell = Run(Pretraining("jepa", 0, 20), "end_to_end", 4, 1)
    names = [Trial(cell, Setting(1e-3, 0.3, 24, decay)).name for decay in (1.0, 0.9, 0.75)]
    assert len(set(names)) == 3
    # outcomes of studies that know no layer decay stay valid
    assert names[0] == "tune-end_to_end-jepa-p0-20-4scenes-s1-0.001x0.3h24"
    assert Setting(1e-3, 0.3, 24).definition() == {
        "learning_rate": 1e-3, "backbone_learning_rate_factor": 0.3, "head_first_steps": 24,
    }  # fmt: skip


def test_frozen_backbones_may_have_label_amounts_of_their_own() -> None:
    modes = small_study().methods[0].modes
    cells = small_study(methods=(Method("scratch", (0,), (1, 2, 4), modes, frozen_scenes=(1, 4)),)).runs()
    assert {cell.scenes for cell in cells if cell.mode == "frozen"} == {1, 4}
    assert {cell.scenes for cell in cells if cell.mode == "end_to_end"} == {1, 2, 4}


def test_some_cells_are_trained_for_longer_too() -> None:
    longer = LongerTraining(50, ("jepa",), (4,))
    with pytest.raises(UserError, match="longer"):
        small_study(longer=replace(longer, steps=5))
    plain, study = small_study(), small_study(longer=longer)
    added = [cell for cell in study.runs() if cell not in plain.runs()]
    assert [(c.backbone.method, c.backbone.steps, c.mode, c.scenes, c.steps) for c in added] == 2 * [
        ("jepa", 20, "end_to_end", 4, 50)
    ]
    assert [c.seed for c in added] == [0, 1]
    assert added[0].name == "end_to_end-jepa-p0-20-4scenes-s0-n50", "beside the outcome of the grid's own cell"
    assert {need.name for need in study.needs(added[0])} == {
        need.name for need in study.needs(replace(added[0], steps=0))
    }


def test_frozen_detectors_are_trained_for_longer_where_a_method_has_them() -> None:
    scratch, jepa = small_study().methods
    methods = (replace(scratch, modes=("end_to_end",)), jepa)
    study = small_study(methods=methods, longer=LongerTraining(50, ("scratch", "jepa"), (4,), ("frozen", "end_to_end")))
    assert {(run.method, run.mode) for run in study.runs() if run.steps == 50} == {
        ("scratch", "end_to_end"),
        ("jepa", "frozen"),
        ("jepa", "end_to_end"),
    }


def test_whatever_a_job_needs_is_a_job() -> None:
    """Also where trials of a mode serve nothing but cells of another part of the study."""
    scratch, jepa = small_study().methods
    one_mode = replace(jepa, modes=("end_to_end",))
    tuning = Tuning(1, (Setting(1e-3), Setting(5e-3)), (Setting(1e-3), Setting(5e-3)))
    means = Means("pasted", ("jepa",), (1,), ("frozen", "end_to_end"))
    study = replace(small_study(methods=(scratch, one_mode), compute_modes=("frozen",), means=(means,)), tuning=tuning)
    jobs = study.jobs()
    assert all(need in jobs for job in jobs for need in study.needs(job))
    assert {run.mode for run in study.runs() if run.means} == {"end_to_end"}, "nothing to compare a frozen one with"


def test_a_seed_twice_is_refused() -> None:
    with pytest.raises(UserError, match="seeds"):
        small_study(seeds=(0, 0))


def test_means_are_added_to_cells_of_a_method_and_a_teacher_comes_first() -> None:
    teaching = Means("self_training", ("jepa",), (1, 4, 8), ("frozen",), teacher=True)
    pasting = Means("gt_sampling", ("scratch", "jepa"), (1,), ("end_to_end",))
    plain, study = small_study(), small_study(means=(teaching, pasting))
    added = [run for run in study.runs() if run.means]
    assert {(run.method, run.mode, run.scenes) for run in added} == {
        ("jepa+self_training", "frozen", 1),
        ("jepa+self_training", "frozen", 4),  # with all 8 scenes labelled, nothing is left to be taught on
        ("scratch+gt_sampling", "end_to_end", 1),
        ("jepa+gt_sampling", "end_to_end", 1),
    }
    assert set(study.runs()) - set(added) == set(plain.runs())  # 8 scenes of a teacher are no cell of the grid
    for run in added:
        teacher = replace(run, means="")
        assert (teacher in study.needs(run)) == study.is_teacher(teacher) == (run.means == "self_training")
    assert not study.is_teacher(added[0])
    names = [job.name for job in study.jobs()]
    assert len(set(names)) == len(names)


def test_a_backbone_that_is_there_is_one_for_all_seeds() -> None:
    there = Method("jepa", (20,), (1, 4), ("frozen",), one_backbone=True)
    study = small_study(methods=(Method("scratch", (0,), (1, 4), ("end_to_end",)), there))
    seeds = {(run.backbone.method, run.seed, run.backbone.seed) for run in study.runs()}
    assert seeds == {("scratch", 0, 0), ("scratch", 1, 1), ("jepa", 0, 0), ("jepa", 1, 0)}
