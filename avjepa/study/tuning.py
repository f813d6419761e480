"""From trials to a setting."""

import statistics
from collections.abc import Iterable, Mapping

from avjepa.study.jobs import Setting, Trial
from avjepa.study.store import Store


def trial_scores(trials: Iterable[Trial], store: Store) -> dict[Trial, float]:
    """mAP, 0 to 1, of the trials that are done."""
    outcomes = ((trial, store.outcome(trial.name, "mAP")) for trial in trials)
    return {trial: float(outcome["mAP"]) for trial, outcome in outcomes if outcome is not None}


def scores_by_setting(scores: Mapping[Trial, float]) -> dict[Setting, list[float]]:
    """A setting's scores over seeds."""
    found: dict[Setting, list[float]] = {}
    for trial, score in scores.items():
        found.setdefault(trial.setting, []).append(score)
    return found


def best_setting(scores: Mapping[Trial, float]) -> Setting:
    """The one with the best mean over seeds; of equal ones the first."""
    means = {setting: statistics.fmean(given) for setting, given in scores_by_setting(scores).items()}
    return max(means, key=means.__getitem__)
