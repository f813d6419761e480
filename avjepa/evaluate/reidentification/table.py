"""The table of re-identification: a CSV file to which every run adds its rows."""

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from avjepa.data.sensor_inputs import LETTERS
from avjepa.errors import UserError
from avjepa.evaluate.reidentification.comparison import NO_SENSORS, Comparison
from avjepa.evaluate.reidentification.events import GAPS
from avjepa.evaluate.reidentification.slices import ALL, OVER_2S
from avjepa.files import read_csv, write_text
from avjepa.ranges import LARGEST_SEED, Number

RANGES = (*GAPS, OVER_2S, ALL)
"""Of gaps, in the order of their columns."""
ANNOTATED, DETECTED = BOXES = ("annotated", "detected")
NO_BACKBONE = "none"
_MOST_EVENTS = 10**9
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Training:
    """What the network behind a file of embeddings was taught, in the user's words.

    Attributes:
        backbone: a name.
        labels: share of the labelled scenes that it was taught by, in per cent.
    """

    backbone: str = "jepa"
    labels: float = 100.0


@dataclass(frozen=True)
class Row:
    """The scores of a method over one range of gaps; NaN where a figure is not known."""

    sensors: str
    """As ``C+L+R``: what the boxes and the embeddings are from; ``none`` for a method that is told annotated boxes."""
    method: str
    gap: str
    """One of ``RANGES``."""
    events: int
    rank1: float
    """In per cent; the others are from 0 to 1."""
    mAP: float
    auroc: float
    fpr95: float
    seed: int
    boxes: str
    """One of ``BOXES``."""
    backbone: str
    """See ``Training``; ``none`` where nothing is from a network."""
    labels: float
    """See ``Training``; 0 where nothing is from a network."""

    @property
    def run(self) -> tuple[object, ...]:
        """What names the rows that a later run replaces."""
        return self.sensors, self.method, self.seed, self.boxes, self.backbone, self.labels


COLUMNS = tuple(field.name for field in fields(Row))


def rows_of(comparison: Comparison, seed: int, training: Training) -> list[Row]:
    """The rows of all methods, range by range."""
    boxes = DETECTED if comparison.boxes_are_detected else ANNOTATED
    rows = []
    for method, scored in comparison.methods.items():
        taught = Training(NO_BACKBONE, 0.0) if scored.sensors == NO_SENSORS else training
        for name in RANGES:
            found = scored.slices[(ALL if name == ALL else "gap", name)]
            rows.append(
                Row(
                    scored.sensors, method, name, found.events, round(100 * found.rank1, 3), round(found.mAP, 5),
                    round(found.auroc, 5), round(found.fpr95, 5), seed, boxes, taught.backbone, taught.labels,
                )
            )  # fmt: skip
    return rows


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV, whole or not at all; a figure that is not known is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row) | {"labels": f"{row.labels:g}"}
        writer.writerow(
            {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
        )
    write_text(path, text.getvalue())


def add_rows(path: Path, rows: Sequence[Row]) -> None:
    """Put rows into a table, which is made if it is not there, in the place of those of the same run.

    Raises:
        UserError: see ``read_table``.
    """
    new = {row.run for row in rows}
    kept = [row for row in read_table(path) if row.run not in new] if os.path.lexists(path) else []
    write_table(path, [*kept, *rows])


def read_table(path: Path) -> list[Row]:
    """The rows of a table, which anyone may have written.

    Raises:
        UserError: there is no such file, or it is no such table.
    """
    try:
        columns, rows = read_csv(path)
        if columns != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        result = []
        for number, row in enumerate(rows, start=1):
            try:
                result.append(_row(row))
            except ValueError as error:
                raise ValueError(f"row {number}: {error}") from None
        seen: dict[tuple[object, ...], int] = {}
        for number, one in enumerate(result, start=1):
            if (first := seen.setdefault((*one.run, one.gap), number)) < number:
                raise ValueError(f"rows {first} and {number} are of one run and gap")
        return result
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with avjepa reid baselines --csv") from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no table of re-identification ({reason}); mend it or name another file") from None


def _row(values: Mapping[str, Any]) -> Row:
    """A row of the file.

    Raises:
        ValueError: naming the column that is wrong.
    """
    if None in values or None in values.values():
        raise ValueError(f"has not {len(COLUMNS)} values")
    letters = values["sensors"].split("+")
    in_order = "+".join(letter for letter in LETTERS.values() if letter in letters)
    if values["sensors"] not in {NO_SENSORS, in_order} - {""}:
        raise ValueError(f"sensors {values['sensors']!r:.40} are not as in C+L+R, nor none")
    for column, known in (("gap", RANGES), ("boxes", BOXES)):
        if values[column] not in known:
            raise ValueError(f"{column} {values[column]!r:.40} is none of {', '.join(known)}")
    for column in ("method", "backbone"):
        if not is_name(values[column]):
            raise ValueError(f"{column} {values[column]!r:.40} is no name of 1 to {_LONGEST_NAME} printable characters")
    return Row(
        sensors=values["sensors"],
        method=values["method"],
        gap=values["gap"],
        events=_whole(values, "events", _MOST_EVENTS),
        rank1=_number(values, "rank1", 100, or_nothing=True),
        mAP=_number(values, "mAP", 1, or_nothing=True),
        auroc=_number(values, "auroc", 1, or_nothing=True),
        fpr95=_number(values, "fpr95", 1, or_nothing=True),
        seed=_whole(values, "seed", LARGEST_SEED),
        boxes=values["boxes"],
        backbone=values["backbone"],
        labels=_number(values, "labels", 100),
    )


def is_name(text: str) -> bool:
    """Whether a text can stand in a cell of a table: short, printable, not blank, and without a bar."""
    return 0 < len(text.strip()) == len(text) <= _LONGEST_NAME and text.isprintable() and "|" not in text


def _number(values: Mapping[str, Any], column: str, most: Number, or_nothing: bool = False) -> float:
    text = values[column]
    if or_nothing and not text:
        return math.nan
    try:
        value = float(text) if text.isascii() else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise ValueError(f"{column} is {text!r:.40}, from 0 to {most:g} can be right")
    return value


def _whole(values: Mapping[str, Any], column: str, most: Number) -> int:
    value = _number(values, column, most)
    if not value.is_integer():
        raise ValueError(f"{column} is {values[column]!r:.40}, no whole number")
    return int(value)
