"""Which setting the trials choose."""

from dataclasses import replace
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.study.plan import Study, Tuning
from avjepa.study.store import Store
from tests.study.studies import PretendingWorker, small_study


def study_with_seeds(*seeds: int) -> Study:
    study = small_study()
    return replace(study, tuning=replace(study.tuning, seeds=seeds))


def store_with_trials(folder: Path, study: Study, scores: dict[tuple[float, int], float]) -> Store:
    """Scores by learning rate and seed."""
    store = Store(folder)
    for trial in study.trials("jepa", "end_to_end"):
        score = scores.get((trial.setting.learning_rate, trial.cell.seed))
        if score is not None:
            store.finish(trial.name, {"mAP": score, "seconds": 1.0})
    return store


def test_every_setting_is_tried_with_every_seed_on_the_backbone_of_that_place() -> None:
    trials = study_with_seeds(3, 4, 5).trials("jepa", "end_to_end")
    # the study pre-trains two backbones
    assert [(t.setting.learning_rate, t.cell.seed, t.cell.backbone.seed) for t in trials] == [
        (1e-3, 3, 0), (1e-3, 4, 1), (1e-3, 5, 0), (5e-3, 3, 0), (5e-3, 4, 1), (5e-3, 5, 0),
    ]  # fmt: skip
    assert len({trial.name for trial in trials}) == 6


def test_the_best_mean_over_seeds_is_chosen_not_the_best_single_trial(tmp_path: Path) -> None:
    study = study_with_seeds(0, 1)
    scores = {(1e-3, 0): 0.30, (1e-3, 1): 0.10, (5e-3, 0): 0.22, (5e-3, 1): 0.24}
    worker = PretendingWorker(study, store_with_trials(tmp_path, study, scores))
    assert worker.chosen_setting("jepa", "end_to_end").learning_rate == 5e-3


def test_nothing_is_chosen_before_every_trial_is_done(tmp_path: Path) -> None:
    study = study_with_seeds(0, 1)
    scores = {(1e-3, 0): 0.30, (1e-3, 1): 0.10, (5e-3, 0): 0.22}
    worker = PretendingWorker(study, store_with_trials(tmp_path, study, scores))
    with pytest.raises(UserError, match=r"tune-end_to_end-jepa-p1-20-1scenes-s1-0\.005x.* not done"):
        worker.chosen_setting("jepa", "end_to_end")


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_a_study_without_seeds_for_its_trials_or_with_one_twice_is_refused(seeds: tuple[int, ...]) -> None:
    study = small_study()
    tuning = Tuning(1, study.tuning.frozen, study.tuning.end_to_end, seeds)
    with pytest.raises(UserError, match=r"tune\.seeds"):
        replace(study, tuning=tuning)
