"""What the cells of a study say: curves, labels needed, and the claims answered from the numbers."""

import csv
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from scipy import stats

from avjepa.errors import UserError
from avjepa.files import replacing

SCRATCH, JEPA, GENERATIVE = "scratch", "jepa", "generative"
"""Names of the methods that the claims are about."""
SENSORS = ("camera", "lidar", "radar")
SIGNIFICANCE = 0.05
LITTLE = 0.1
"""Share of the end-to-end score that frozen features may lose and it still be called little."""


@dataclass(frozen=True)
class Row:
    """One cell of the grid. Scores are fractions, not per cent."""

    sensor: str
    method: str
    fraction: float
    scenes: int
    mode: str
    pretrain_seed: int
    seed: int
    pretrain_steps: int
    steps: int
    mAP: float
    NDS: float
    hardware: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Row":
        """Of a cell's record, or of a row of the table."""
        kinds = get_type_hints(cls)
        return cls(**{field.name: kinds[field.name](record[field.name]) for field in fields(cls)})


COLUMNS = tuple(field.name for field in fields(Row))


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, sorted."""
    ordered = sorted(rows, key=lambda r: (r.sensor, r.mode, r.method, r.pretrain_steps, r.scenes, r.seed))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in ordered:
            writer.writerow(asdict(row) | {name: f"{getattr(row, name):.6g}" for name in ("fraction", "mAP", "NDS")})


def read_table(path: Path) -> list[Row]:
    """Read what ``write_table`` wrote.

    Raises:
        UserError: the file cannot be read as such a table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [Row.of(row) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table of label efficiency ({error}); restore it") from error


Curve = dict[int, dict[int, float]]
"""Score by number of labelled scenes, then by seed."""


def of_the_grid(rows: Iterable[Row]) -> list[Row]:
    """Without the cells that were trained for longer as well."""
    rows = list(rows)
    fewest = min((row.steps for row in rows), default=0)
    return [row for row in rows if row.steps == fewest]


def curve(rows: Iterable[Row], method: str, mode: str, metric: Literal["mAP", "NDS"] = "mAP", steps: int = 0) -> Curve:
    """A method's scores in one mode, on its longest pre-training.

    Args:
        rows: of one sensor.
        method: its name.
        mode: ``frozen`` or ``end_to_end``.
        metric: the score.
        steps: of the detectors' training; 0 for the fewest of all rows, which is the study's own number.
    """
    trained = [row for row in rows if row.steps == steps] if steps else of_the_grid(rows)
    chosen = [row for row in trained if row.method == method and row.mode == mode]
    longest = max((row.pretrain_steps for row in chosen), default=0)
    result: Curve = {}
    for row in sorted(chosen, key=lambda row: (row.scenes, row.seed)):
        if row.pretrain_steps == longest:
            result.setdefault(row.scenes, {})[row.seed] = getattr(row, metric)
    return result


def fully_pretrained(rows: Iterable[Row]) -> set[str]:
    """Methods that were pre-trained for as long as any, and those without a pre-training: their scores compare."""
    lengths: dict[str, int] = {}
    for row in rows:
        lengths[row.method] = max(row.pretrain_steps, lengths.get(row.method, 0))
    longest = max(lengths.values(), default=0)
    return {method for method, length in lengths.items() if length in (0, longest)}


def means(scores: Curve) -> dict[int, float]:
    """Mean over seeds."""
    return {scenes: statistics.fmean(by_seed.values()) for scenes, by_seed in scores.items()}


def lower_edge(scores: Curve) -> dict[int, float]:
    """Mean less one standard deviation over seeds; a single seed has none to take off."""
    return {
        scenes: statistics.fmean(by_seed.values()) - (statistics.stdev(by_seed.values()) if len(by_seed) > 1 else 0.0)
        for scenes, by_seed in scores.items()
    }


@dataclass(frozen=True)
class Needed:
    """How much of something (labelled scenes, seconds) it takes to reach a score."""

    amount: float
    exact: bool
    """False where the least amount that was tried reaches the score already: ``amount`` or less."""

    def __str__(self) -> str:
        return f"{'' if self.exact else '≤ '}{self.amount:.3g}"


def needed(scores: Mapping[int, float] | Mapping[float, float], target: float) -> Needed | None:
    """Least amount at which a curve reaches ``target``, linear in the logarithm of the amount between its points.

    ``None`` if it does not.
    """
    before: tuple[float, float] | None = None
    for amount, score in sorted(scores.items()):
        if score >= target:
            if before is None:
                return Needed(float(amount), exact=False)
            share = (target - before[1]) / (score - before[1])
            return Needed(before[0] * (amount / before[0]) ** share, exact=True)
        before = float(amount), score
    return None


@dataclass(frozen=True)
class Claim:
    """A claim with its answer."""

    claim: str
    answer: Literal["yes", "no", "undecided"]
    evidence: str


def claims(rows: Sequence[Row], sensor: str, seconds: Mapping[tuple[str, int], float]) -> list[Claim]:
    """Every claim answered.

    Args:
        rows: of all sensors that have been studied.
        sensor: the one that the first four claims are answered for.
        seconds: mean time of pre-training by method and steps.
    """
    own = [row for row in rows if row.sensor == sensor]
    return [
        fewer_labels(own),
        advantage_grows(own),
        frozen_loses_little(own),
        less_compute(own, seconds),
        serves_all_sensors(rows),
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}".replace("-", "−")


def _full(scores: Curve) -> tuple[int, float]:
    most = max(scores)
    return most, statistics.fmean(scores[most].values())


def fewer_labels(rows: Sequence[Row]) -> Claim:
    """JEPA reaches scratch's score with all labels with fewer, end to end, even one standard deviation down.

    Fewer than scratch itself needs: where training is short of steps, scratch has its best score with a part of them.
    """
    claim = "JEPA reaches the score of scratch with fewer labels"
    scratch, jepa = curve(rows, SCRATCH, "end_to_end"), curve(rows, JEPA, "end_to_end")
    if not scratch or not jepa:
        return Claim(claim, "undecided", "Cells of scratch or JEPA, end to end, are missing.")
    most, target = _full(scratch)
    mean, cautious = needed(means(jepa), target), needed(lower_edge(jepa), target)
    goal = f"Scratch has {_percent(target)} mAP with all {most} scenes"
    if mean is None:
        return Claim(claim, "no", f"{goal}; JEPA reaches it with no number of scenes that was tried.")
    own = needed(means(scratch), target)
    assert own is not None, "it has that score with all of them"
    evidence = f"{goal}; JEPA's mean reaches it with {mean} scenes"
    if not own.exact:
        return Claim(claim, "undecided", f"{evidence}, and scratch with {own}: fewer were not tried.")
    evidence += f", {'' if mean.exact else 'at least '}{own.amount / mean.amount:.2g} times fewer"
    if own.amount < most:
        evidence += f" than the {own} with which scratch's own mean does"
    if cautious is None or cautious.amount >= own.amount:
        return Claim(claim, "no", f"{evidence}, but its mean less one standard deviation does not with fewer.")
    return Claim(claim, "yes", f"{evidence}; its mean less one standard deviation with {cautious}.")


def leads(rows: Sequence[Row], method: str, other: str, mode: str, steps: int = 0) -> Curve:
    """A method's score less another's, seed by seed: a seed gives both the same labelled scenes."""
    ours, theirs = curve(rows, method, mode, steps=steps), curve(rows, other, mode, steps=steps)
    found = {
        scenes: {seed: score - theirs[scenes][seed] for seed, score in by_seed.items() if seed in theirs[scenes]}
        for scenes, by_seed in ours.items()
        if scenes in theirs
    }
    return {scenes: by_seed for scenes, by_seed in found.items() if by_seed}


def chance(values: Sequence[float]) -> float:
    """Probability of values as far from 0 on average, if their mean were 0 (two-sided t-test); 1 for a single one."""
    if len(values) < 2:
        return 1.0
    if statistics.stdev(values) < 1e-9:  # equal but for rounding
        return float(abs(statistics.fmean(values)) < 1e-9)
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def advantage_slopes(rows: Sequence[Row], mode: str) -> dict[int, float]:
    """By seed, least-squares slope of (JEPA - scratch) against the binary logarithm of the number of scenes."""
    found = leads(rows, JEPA, SCRATCH, mode)
    slopes = {}
    for seed in sorted({seed for by_seed in found.values() for seed in by_seed}):
        points = [(math.log2(scenes), by_seed[seed]) for scenes, by_seed in found.items() if seed in by_seed]
        if len(points) > 1:
            slopes[seed] = statistics.linear_regression(*zip(*points, strict=True)).slope
    return slopes


def advantage_grows(rows: Sequence[Row]) -> Claim:
    """The advantage over scratch, seed by seed on the same scenes, falls with more labels and is one with fewest."""
    claim = "JEPA's advantage grows as labels shrink"
    slopes = list(advantage_slopes(rows, "end_to_end").values())
    if len(slopes) < 2:
        return Claim(claim, "undecided", "It takes two seeds and two label amounts of scratch and JEPA, end to end.")
    gains = means(leads(rows, JEPA, SCRATCH, "end_to_end"))
    slope, probability = statistics.fmean(slopes), chance(slopes)
    listed = ", ".join(f"{_percent(gain)} with {n}" for n, gain in gains.items())
    evidence = (
        f"JEPA less scratch in mAP, by scenes: {listed}. {_percent(slope)} for every doubling of labels "
        f"(t-test over {len(slopes)} seeds, p = {probability:.3f})."
    )
    grows = slope < 0 and probability < SIGNIFICANCE and gains[min(gains)] > 0
    return Claim(claim, "yes" if grows else "no", evidence)


def frozen_loses_little(rows: Sequence[Row]) -> Claim:
    """Over all label amounts, frozen features lose at most ``LITTLE`` of the end-to-end score."""
    claim = "frozen JEPA features lose little against end-to-end"
    shares = {}
    for method in (JEPA, SCRATCH):
        frozen, trained = means(curve(rows, method, "frozen")), means(curve(rows, method, "end_to_end"))
        shared = sorted(frozen.keys() & trained.keys())
        if shared and sum(trained[n] for n in shared) > 0:
            total, kept = sum(trained[n] for n in shared), sum(frozen[n] for n in shared)
            shares[method] = (1 - kept / total, frozen[shared[-1]], trained[shared[-1]], shared[-1])
    if JEPA not in shares:
        return Claim(claim, "undecided", "Cells of JEPA, frozen or end to end, are missing.")
    loss, frozen_full, trained_full, most = shares[JEPA]
    evidence = (
        f"Over all label amounts frozen JEPA loses {100 * loss:.0f} % of its end-to-end mAP; "
        f"with {most} scenes {_percent(frozen_full)} against {_percent(trained_full)}"
    )
    if SCRATCH in shares:
        evidence += f"; a random frozen backbone loses {100 * shares[SCRATCH][0]:.0f} %"
    return Claim(claim, "yes" if loss <= LITTLE else "no", f"{evidence}. Little is {100 * LITTLE:.0f} % or less.")


def compute_curves(
    rows: Iterable[Row], amount: Mapping[tuple[str, int], float], mode: str, scenes: int
) -> dict[str, dict[float, dict[int, float]]]:
    """Scores with some labels by method, by what its pre-training cost, and by seed.

    Args:
        rows: of one sensor.
        amount: cost of pre-training by method and steps: seconds, samples.
        mode: of the cells.
        scenes: of the cells.
    """
    found: dict[str, dict[float, dict[int, float]]] = {}
    for row in of_the_grid(rows):
        cost = amount.get((row.method, row.pretrain_steps))
        if row.mode == mode and row.scenes == scenes and cost:
            found.setdefault(row.method, {}).setdefault(cost, {})[row.seed] = row.mAP
    return found


def pretraining_lengths(rows: Iterable[Row], mode: str, scenes: int) -> dict[str, dict[int, dict[int, float]]]:
    """mAP with some labels by method, by its steps of pre-training, and by seed; only methods with a pre-training."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for row in of_the_grid(rows):
        if (row.mode, row.scenes) == (mode, scenes) and row.pretrain_steps:
            found.setdefault(row.method, {}).setdefault(row.pretrain_steps, {})[row.seed] = row.mAP
    return found


def compute_place(rows: Sequence[Row]) -> tuple[str, int] | None:
    """Mode and number of scenes at which most lengths of pre-training were scored; the first of equals."""
    lengths: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for row in sorted(of_the_grid(rows), key=lambda row: (row.mode != "frozen", row.scenes)):
        if row.pretrain_steps:
            lengths.setdefault((row.mode, row.scenes), set()).add((row.method, row.pretrain_steps))
    return max(lengths, key=lambda place: len(lengths[place])) if lengths else None


def less_compute(rows: Sequence[Row], seconds: Mapping[tuple[str, int], float]) -> Claim:
    """JEPA takes less time than generative pre-training to reach what the latter reaches at best."""
    claim = "JEPA needs less compute than generative pre-training for the same score"
    place = compute_place(rows)
    curves = compute_curves(rows, seconds, *place) if place else {}
    if place is None or JEPA not in curves or GENERATIVE not in curves:
        return Claim(claim, "undecided", "Cells of JEPA or generative pre-training are missing.")
    jepa, generative = (
        {cost: statistics.fmean(by_seed.values()) for cost, by_seed in curves[method].items()}
        for method in (JEPA, GENERATIVE)
    )
    target = max(generative.values())
    ours, theirs = needed(jepa, target), needed(generative, target)
    assert theirs is not None
    setting = f"{place[0].replace('_', ' ')}, {place[1]} labelled scenes"
    evidence = f"Generative pre-training reaches {_percent(target)} mAP ({setting}) in {theirs.amount:.0f} s"
    if ours is None:
        longest = max(jepa)
        return Claim(claim, "no", f"{evidence}; JEPA does not in {longest:.0f} s ({_percent(max(jepa.values()))}).")
    bound = "" if ours.exact else "at most "
    answer: Literal["yes", "no"] = "yes" if ours.amount < theirs.amount else "no"
    return Claim(claim, answer, f"{evidence}, JEPA in {bound}{ours.amount:.0f} s.")


def serves_all_sensors(rows: Sequence[Row]) -> Claim:
    """End to end, over all label amounts, JEPA is ahead of scratch for every sensor (paired t-test over seeds)."""
    claim = "one recipe serves camera, LiDAR and radar"
    parts, wins = [], []
    for sensor in SENSORS:
        found = leads([row for row in rows if row.sensor == sensor], JEPA, SCRATCH, "end_to_end")
        seeds = set.intersection(*(set(by_seed) for by_seed in found.values())) if found else set()
        if len(seeds) < 2:
            parts.append(f"{sensor}: not studied")
            continue
        by_seed = [statistics.fmean(of_scenes[seed] for of_scenes in found.values()) for seed in sorted(seeds)]
        gain, probability = statistics.fmean(by_seed), chance(by_seed)
        wins.append(gain > 0 and probability < SIGNIFICANCE)
        parts.append(
            f"{sensor}: {_percent(gain)} mAP over scratch, mean of {len(found)} label amounts (p = {probability:.3f})"
        )
    evidence = "; ".join(parts) + "."
    if not all(wins):
        return Claim(claim, "no", evidence)
    return Claim(claim, "yes" if len(wins) == len(SENSORS) else "undecided", evidence)
