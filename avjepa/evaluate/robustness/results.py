"""The table of a robustness run: a CSV file, a page in Markdown and a plot."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from avjepa.errors import UserError
from avjepa.evaluate.robustness.conditions import NONE
from avjepa.files import read_text, replacing, write_text
from avjepa.report.robustness import Bar, Row, bars_figure

TABLE, PAGE, PLOT = "robustness.csv", "robustness.md", "robustness.png"
COLUMNS = ("model", "sensors", "degradation", "seed", "mAP", "NDS", "IoU")


def row_of(model: str, sensors: str, degradation: str, seed: int, figures: Mapping[str, float]) -> Row:
    """A row of the main scores of a model's tasks."""
    scores = figures.get("mAP"), figures.get("NDS"), figures.get("mIoU")
    rounded = [None if score is None else round(100 * score, 3) for score in scores]
    return Row(model, sensors, degradation, seed, *rounded)


def read_table(path: Path) -> list[Row]:
    """The rows of a table; none where there is no file.

    Raises:
        UserError: it is no such table.
    """
    if not path.is_file():
        return []
    try:
        reader = csv.DictReader(io.StringIO(read_text(path)))
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        return [
            Row(
                row["model"], row["sensors"], row["degradation"], int(row["seed"]),
                *(float(row[name]) if row[name] else None for name in ("mAP", "NDS", "IoU")),
            )
            for row in reader
        ]  # fmt: skip
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: is no table of robustness ({error}); move it away") from error


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the table, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in asdict(row).items()} for row in rows)
    write_text(path, text.getvalue())


def merged(before: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Rows of other models, conditions and seeds, and the new ones."""
    new = {(row.model, row.sensors, row.degradation, row.seed) for row in rows}
    return [row for row in before if (row.model, row.sensors, row.degradation, row.seed) not in new] + list(rows)


def write_results(out: Path, rows: Sequence[Row], command: str, skipped: Sequence[str]) -> Path:
    """Write table, page and plot; returns the page's path.

    Args:
        out: folder.
        rows: of one model.
        command: reproduces them.
        skipped: conditions that the data cannot show, with the reason.
    """
    write_table(out / TABLE, rows)
    name = "mAP" if rows[0].mAP is not None else "IoU"
    bars = [Bar(_label(row), getattr(row, name) or 0.0, row.degradation == NONE) for row in rows]
    figure = bars_figure(bars, f"{name} (%)")
    with replacing(out / PLOT) as temporary:
        figure.savefig(temporary, format="png", dpi=120, facecolor="white")
    whole = rows[0]
    lines = [
        f"# Robustness of {whole.model}",
        "",
        f"Command: `{command}`. Scores in per cent; in brackets the share of the score with all sensors.",
        "",
        "| sensors | degradation | mAP | NDS | IoU |",
        "|---|---|---|---|---|",
        *(
            f"| {row.sensors} | {row.degradation} | {_cell(row.mAP, whole.mAP)} | {_cell(row.NDS, whole.NDS)} | "
            f"{_cell(row.IoU, whole.IoU)} |"
            for row in rows
        ),
        "",
        f"![Score by condition]({PLOT})",
        *(f"\nNot shown: {reason}." for reason in skipped),
    ]
    write_text(out / PAGE, "\n".join(lines) + "\n")
    return out / PAGE


def _label(row: Row) -> str:
    return row.sensors if row.degradation == NONE else row.degradation


def _cell(score: float | None, whole: float | None) -> str:
    if score is None:
        return "–"
    return f"{score:.1f} ({score / whole:.2f})" if whole else f"{score:.1f}"
