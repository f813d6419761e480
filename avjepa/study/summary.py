"""What the cells of a study say: curves, leads, labels needed."""

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from avjepa.errors import UserError
from avjepa.files import read_csv, replacing

SCRATCH, JEPA, GENERATIVE = "scratch", "jepa", "generative"
"""Names of the methods that the claims are about."""

LEAST_SCORE = 0.001
"""mAP of a detector that has learned something; shares of less than that, and labels needed for it, say nothing."""


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
    def of(cls, outcome: Mapping[str, Any]) -> "Row":
        """Of a cell's outcome, or of a row of the table."""
        kinds = get_type_hints(cls)
        return cls(**{field.name: kinds[field.name](outcome[field.name]) for field in fields(cls)})


COLUMNS = tuple(field.name for field in fields(Row))


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, sorted."""
    ordered = sorted(rows, key=lambda r: (r.sensor, r.mode, r.method, r.pretrain_steps, r.steps, r.scenes, r.seed))
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
        return [Row.of(row) for row in read_csv(path)[1]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table of label efficiency ({error}); restore it") from error


Curve = dict[int, dict[int, float]]
"""Score by number of labelled scenes, then by seed."""


def of_the_grid(rows: Iterable[Row]) -> list[Row]:
    """Without the cells that were trained for longer as well."""
    rows = list(rows)
    fewest = min((row.steps for row in rows), default=0)
    return [row for row in rows if row.steps == fewest]


def curve(rows: Iterable[Row], method: str, mode: str, steps: int = 0) -> Curve:
    """A method's scores in one mode, on its longest pre-training.

    Args:
        rows: of one sensor.
        method: its name.
        mode: ``frozen`` or ``end_to_end``.
        steps: of the detectors' training; 0 for the fewest of all rows, which is the study's own number.
    """
    trained = [row for row in rows if row.steps == steps] if steps else of_the_grid(rows)
    chosen = [row for row in trained if row.method == method and row.mode == mode]
    longest = max((row.pretrain_steps for row in chosen), default=0)
    result: Curve = {}
    for row in sorted(chosen, key=lambda row: (row.scenes, row.seed)):
        if row.pretrain_steps == longest:
            result.setdefault(row.scenes, {})[row.seed] = row.mAP
    return result


def with_all_labels(rows: Iterable[Row], method: str, mode: str) -> bool:
    """Whether a method was trained with every scene that has labels."""
    return any(row.fraction == 1 for row in rows if row.method == method and row.mode == mode)


def longest_training(rows: Iterable[Row]) -> int:
    """Steps of the detectors, end to end, that the claims rest on: the study's own, or more.

    More where scratch was trained for longer with all labels, and JEPA with two amounts or more.

    Args:
        rows: of one sensor.
    """
    rows = list(rows)
    fewest = min((row.steps for row in rows), default=0)
    enough = [
        steps
        for steps in {row.steps for row in rows}
        if with_all_labels((row for row in rows if row.steps == steps), SCRATCH, "end_to_end")
        and len(curve(rows, JEPA, "end_to_end", steps)) > 1
    ]
    return max(enough, default=fewest)


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


def labels_to_reach(scores: Mapping[int, float] | Mapping[float, float], target: float) -> Needed | None:
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


def leads(rows: Sequence[Row], method: str, other: str, mode: str, steps: int = 0) -> Curve:
    """A method's score less another's, seed by seed: a seed gives both the same labelled scenes."""
    ours, theirs = curve(rows, method, mode, steps=steps), curve(rows, other, mode, steps=steps)
    found = {
        scenes: {seed: score - theirs[scenes][seed] for seed, score in by_seed.items() if seed in theirs[scenes]}
        for scenes, by_seed in ours.items()
        if scenes in theirs
    }
    return {scenes: by_seed for scenes, by_seed in found.items() if by_seed}


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
