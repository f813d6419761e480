"""The claims about pre-training, each answered from the cells of a study."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from avjepa.errors import counted
from avjepa.report.seed_statistics import SIGNIFICANCE, Spread, paired_p_value
from avjepa.study.summary import (
    GENERATIVE,
    JEPA,
    LEAST_SCORE,
    SCRATCH,
    Curve,
    Row,
    compute_curves,
    compute_place,
    curve,
    labels_to_reach,
    leads,
    longest_training,
    lower_edge,
    means,
    with_all_labels,
)

SENSORS = ("camera", "lidar", "radar")
LITTLE = 0.1
"""Share of the end-to-end score that frozen features may lose and it still be called little."""


@dataclass(frozen=True)
class Finding:
    """A claim with its answer."""

    claim: str
    answer: Literal["yes", "no", "undecided"]
    evidence: str


def findings(rows: Sequence[Row], sensor: str, seconds: Mapping[tuple[str, int], float]) -> list[Finding]:
    """Every claim answered; that about all sensors only where ``sensor`` is one of them.

    Args:
        rows: of all sensors that have been studied.
        sensor: the one that the first four claims are answered for.
        seconds: mean time of pre-training by method and steps.
    """
    own = [row for row in rows if row.sensor == sensor]
    of_one = [fewer_labels(own), advantage_grows(own), frozen_loses_little(own), less_compute(own, seconds)]
    return [*of_one, serves_all_sensors(rows)] if sensor in SENSORS else of_one


def _percent(value: float) -> str:
    return f"{100 * value:.1f}".replace("-", "−")


def _full(scores: Curve) -> tuple[int, float]:
    most = max(scores)
    return most, statistics.fmean(scores[most].values())


def fewer_labels(rows: Sequence[Row]) -> Finding:
    """JEPA reaches scratch's score with all labels with fewer, end to end, even one standard deviation down.

    With an amount that was tried, and is no more than scratch needs, it is ahead of scratch with all labels (paired
    t-test over seeds). Nothing is decided where its mean is and the others are not. Fewer means fewer than scratch
    itself needs: where training is short of steps, scratch has its best score with a part of them.
    """
    claim = "JEPA reaches the score of scratch with fewer labels"
    steps = longest_training(rows)
    scratch, jepa = (curve(rows, method, "end_to_end", steps) for method in (SCRATCH, JEPA))
    if not scratch or not jepa:
        return Finding(claim, "undecided", "Cells of scratch or JEPA, end to end, are missing.")
    if not with_all_labels((row for row in rows if row.steps == steps), SCRATCH, "end_to_end"):
        return Finding(claim, "undecided", "Scratch was not trained with all labels.")
    most, target = _full(scratch)
    if target < LEAST_SCORE:
        return Finding(claim, "undecided", f"Scratch has learned nothing after {counted(steps, 'step')}.")
    mean, cautious = labels_to_reach(means(jepa), target), labels_to_reach(lower_edge(jepa), target)
    goal = f"Scratch has {_percent(target)} mAP with all {counted(most, 'scene')} after {counted(steps, 'step')}"
    if mean is None:
        return Finding(claim, "no", f"{goal}; JEPA reaches it with no number of scenes that was tried.")
    own = labels_to_reach(means(scratch), target)
    assert own is not None, "it has that score with all of them"
    evidence = f"{goal}; JEPA's mean reaches it with {mean} scenes"
    if not own.exact:
        return Finding(claim, "undecided", f"{evidence}, and scratch with {own}: fewer were not tried.")
    evidence += f", {'' if mean.exact else 'at least '}{own.amount / mean.amount:.2g} times fewer"
    if own.amount < most:
        evidence += f" than the {own} with which scratch's own mean does"
    if min(len(by_seed) for by_seed in (*scratch.values(), *jepa.values())) < 2:
        return Finding(claim, "undecided", f"{evidence}; with one seed nobody knows by how much that is chance.")
    if cautious is not None and not cautious.exact and cautious.amount >= own.amount:
        return Finding(claim, "undecided", f"{evidence}; fewer were not tried.")
    if mean.amount >= own.amount:
        return Finding(claim, "no", f"{evidence}.")
    if cautious is None or cautious.amount >= own.amount:
        return Finding(claim, "undecided", f"{evidence}, but its mean less one standard deviation does not with fewer.")
    evidence += f"; its mean less one standard deviation with {cautious}"
    ahead = _ahead_of_all_labels(scratch[most], jepa, own.amount)
    if ahead is None:
        return Finding(
            claim, "undecided", f"{evidence}. That it is ahead with no more than scratch needs may be chance."
        )
    scenes, lead, probability = ahead
    evidence += f". With {scenes}, which was tried, it is {_percent(lead)} ahead of scratch with all"
    return Finding(claim, "yes", f"{evidence} (paired t-test, p = {probability:.3f}).")


def _ahead_of_all_labels(scratch: Mapping[int, float], jepa: Curve, at_most: float) -> tuple[int, float, float] | None:
    """The fewest scenes with which JEPA leads scratch with all of them beyond chance; by how much; the p-value."""
    for scenes, by_seed in sorted(jepa.items()):
        differences = [score - scratch[seed] for seed, score in by_seed.items() if seed in scratch]
        lead, probability = statistics.fmean(differences or [0.0]), paired_p_value(differences)
        if scenes <= at_most and lead > 0 and probability < SIGNIFICANCE:
            return scenes, lead, probability
    return None


def advantage_slopes(rows: Sequence[Row], mode: str, steps: int = 0) -> dict[int, float]:
    """By seed, least-squares slope of (JEPA - scratch) against the binary logarithm of the number of scenes."""
    found = leads(rows, JEPA, SCRATCH, mode, steps)
    slopes = {}
    for seed in sorted({seed for by_seed in found.values() for seed in by_seed}):
        points = [(math.log2(scenes), by_seed[seed]) for scenes, by_seed in found.items() if seed in by_seed]
        if len(points) > 1:
            slopes[seed] = statistics.linear_regression(*zip(*points, strict=True)).slope
    return slopes


def advantage_grows(rows: Sequence[Row]) -> Finding:
    """The advantage over scratch, seed by seed on the same scenes, falls with more labels and is one with fewest.

    Nothing is decided where the slope may be chance (t-test over seeds).
    """
    claim = "JEPA's advantage grows as labels shrink"
    steps = longest_training(rows)
    slopes = list(advantage_slopes(rows, "end_to_end", steps).values())
    if len(slopes) < 2:
        return Finding(claim, "undecided", "It takes two seeds and two label amounts of scratch and JEPA, end to end.")
    gains = means(leads(rows, JEPA, SCRATCH, "end_to_end", steps))
    slope, probability = statistics.fmean(slopes), paired_p_value(slopes)
    listed = ", ".join(f"{_percent(gain)} with {n}" for n, gain in gains.items())
    evidence = (
        f"JEPA less scratch in mAP after {counted(steps, 'step')}, by scenes: {listed}. "
        f"{_percent(slope)} for every doubling of labels "
        f"(t-test over {counted(len(slopes), 'seed')}, p = {probability:.3f})."
    )
    if probability >= SIGNIFICANCE:
        return Finding(claim, "undecided", evidence)
    return Finding(claim, "yes" if slope < 0 and gains[min(gains)] > 0 else "no", evidence)


def frozen_loses_little(rows: Sequence[Row]) -> Finding:
    """Over all label amounts, frozen features lose at most ``LITTLE`` of the end-to-end score, seed by seed.

    Of the detectors that were trained for longest in both modes. Nothing is decided where that is within a standard
    deviation over seeds.
    """
    claim = "frozen JEPA features lose little against end-to-end"
    modes = ("frozen", "end_to_end")
    by_mode = [{row.steps for row in rows if (row.method, row.mode) == (JEPA, mode)} for mode in modes]
    steps = max(set.intersection(*by_mode), default=0)
    losses: dict[str, list[float]] = {}
    shown: dict[str, tuple[int, float, float]] = {}
    for method in (JEPA, SCRATCH):
        frozen, trained = (curve(rows, method, mode, steps) for mode in modes)
        if shared := sorted(frozen.keys() & trained.keys()):
            losses[method] = _shares_lost([frozen[n] for n in shared], [trained[n] for n in shared])
            shown[method] = shared[-1], means(frozen)[shared[-1]], means(trained)[shared[-1]]
    if not losses.get(JEPA):
        return Finding(claim, "undecided", "Cells of JEPA, frozen or end to end, are missing or have no score.")
    loss, (most, frozen_full, trained_full) = Spread.of([100 * share for share in losses[JEPA]]), shown[JEPA]
    evidence = (
        f"Over all label amounts frozen JEPA loses {loss.text(0)} % of its end-to-end mAP after "
        f"{counted(steps, 'step')}; "
        f"with {counted(most, 'scene')} {_percent(frozen_full)} against {_percent(trained_full)}"
    )
    if losses.get(SCRATCH):
        evidence += f"; a random frozen backbone loses {100 * statistics.fmean(losses[SCRATCH]):.0f} %"
    evidence += f". Little is {100 * LITTLE:.0f} % or less"
    if loss.std is None:
        return Finding(claim, "undecided", f"{evidence}; with one seed nobody knows by how much that is chance.")
    if abs(loss.mean - 100 * LITTLE) < loss.std:
        return Finding(claim, "undecided", f"{evidence}, which is within a standard deviation over seeds.")
    return Finding(claim, "yes" if loss.mean <= 100 * LITTLE else "no", f"{evidence}.")


def _shares_lost(frozen: Sequence[Mapping[int, float]], trained: Sequence[Mapping[int, float]]) -> list[float]:
    """By seed that all amounts have, the share of the end-to-end scores that frozen features lose over all amounts."""
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in (*frozen, *trained))))
    totals = [(sum(scores[seed] for scores in frozen), sum(scores[seed] for scores in trained)) for seed in seeds]
    return [1 - kept / total for kept, total in totals if total > LEAST_SCORE]


def less_compute(rows: Sequence[Row], seconds: Mapping[tuple[str, int], float]) -> Finding:
    """JEPA takes less time than generative pre-training to reach what the latter reaches at best."""
    claim = "JEPA needs less compute than generative pre-training for the same score"
    place = compute_place(rows)
    curves = compute_curves(rows, seconds, *place) if place else {}
    named = {JEPA: "JEPA", GENERATIVE: "Generative pre-training"}
    for method, name in named.items():
        if not any(row.method == method for row in rows):
            return Finding(claim, "undecided", f"{name} was not studied.")
    for method, name in named.items():
        if place is None or method not in curves:
            return Finding(claim, "undecided", f"{name}: nobody knows how long it took, or its cells are missing.")
    assert place is not None, "asked above"
    jepa, generative = (
        {cost: statistics.fmean(by_seed.values()) for cost, by_seed in curves[method].items()}
        for method in (JEPA, GENERATIVE)
    )
    target = max(generative.values())
    ours, theirs = labels_to_reach(jepa, target), labels_to_reach(generative, target)
    assert theirs is not None
    setting = f"{place[0].replace('_', ' ')}, {counted(place[1], 'labelled scene')}"
    evidence = f"Generative pre-training reaches {_percent(target)} mAP ({setting}) in {theirs.amount:.0f} s"
    if ours is None:
        longest = max(jepa)
        return Finding(claim, "no", f"{evidence}; JEPA does not in {longest:.0f} s ({_percent(max(jepa.values()))}).")
    if min(len(by_seed) for method in (JEPA, GENERATIVE) for by_seed in curves[method].values()) < 2:
        return Finding(claim, "undecided", f"{evidence}; with one seed nobody knows by how much that is chance.")
    bound = "" if ours.exact else "at most "
    answer: Literal["yes", "no"] = "yes" if ours.amount < theirs.amount else "no"
    return Finding(claim, answer, f"{evidence}, JEPA in {bound}{ours.amount:.0f} s.")


def serves_all_sensors(rows: Sequence[Row]) -> Finding:
    """End to end, over all label amounts, JEPA is ahead of scratch for every sensor (paired t-test over seeds).

    It is not where JEPA is behind for one; a lead that may be chance decides nothing.
    """
    claim = "one recipe serves camera, LiDAR and radar"
    parts, answers = [], []
    for sensor in SENSORS:
        found = leads([row for row in rows if row.sensor == sensor], JEPA, SCRATCH, "end_to_end")
        seeds = set.intersection(*(set(by_seed) for by_seed in found.values())) if found else set()
        if len(seeds) < 2:
            parts.append(f"{sensor}: not studied")
            continue
        by_seed = [statistics.fmean(of_scenes[seed] for of_scenes in found.values()) for seed in sorted(seeds)]
        gain, probability = statistics.fmean(by_seed), paired_p_value(by_seed)
        answers.append("undecided" if probability >= SIGNIFICANCE else "yes" if gain > 0 else "no")
        parts.append(
            f"{sensor}: {_percent(gain)} mAP over scratch, mean of {len(found)} label amounts (p = {probability:.3f})"
        )
    evidence = "; ".join(parts) + "."
    if "no" in answers:
        return Finding(claim, "no", evidence)
    return Finding(claim, "yes" if answers == ["yes"] * len(SENSORS) else "undecided", evidence)
