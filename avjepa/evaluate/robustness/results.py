"""The table of a robustness run: a CSV file, a page in Markdown and a plot."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from avjepa.errors import UserError
from avjepa.evaluate.robustness.conditions import NONE
from avjepa.files import read_csv, replacing, write_text
from avjepa.report.robustness import Bar, Row, bars_figure

TABLE, PAGE, PLOT = "robustness.csv", "robustness.md", "robustness.png"
_MAIN = ("mAP", "NDS", "mIoU")
"""The scores in the table, as ``Scorer.figures`` calls them."""
COLUMNS = ("model", "sensors", "degradation", "seed", "mAP", "NDS", "IoU")


def rows_of(
    model: str, sensors: str, degradation: str, seed: int, figures: Mapping[str, Mapping[str, float]]
) -> list[Row]:
    """The main scores of a model under a condition.

    Args:
        model: its name in the table.
        sensors: as ``C+L+R``.
        degradation: its name.
        seed: of what is random in it.
        figures: of every task by its name, see ``Scorer.figures``.

    Returns:
        One row; one for each task, whose model is called ``MODEL: TASK``, where two tasks have the same score; none
        where no task has any.
    """
    main = {task: {name: own[name] for name in _MAIN if name in own} for task, own in figures.items()}
    main = {task: own for task, own in main.items() if own}
    joined = {name: value for own in main.values() for name, value in own.items()}
    if len(joined) < sum(map(len, main.values())):
        return [_row(f"{model}: {task}", sensors, degradation, seed, own) for task, own in main.items()]
    return [_row(model, sensors, degradation, seed, joined)] if joined else []


def _row(model: str, sensors: str, degradation: str, seed: int, scores: Mapping[str, float]) -> Row:
    in_per_cent = [round(100 * scores[name], 3) if name in scores else None for name in _MAIN]
    return Row(model, sensors, degradation, seed, *in_per_cent)


def read_table(path: Path) -> list[Row]:
    """The rows of a table; none where there is no file.

    Raises:
        UserError: it is no such table.
    """
    if not os.path.lexists(path):
        return []
    try:
        columns, rows = read_csv(path)
        if columns != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        return [
            Row(
                row["model"], row["sensors"], row["degradation"], int(row["seed"]),
                *(float(row[name]) if row[name] else None for name in ("mAP", "NDS", "IoU")),
            )
            for row in rows
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
        rows: of one model, or of the tasks of one, in the order of the conditions: the first has all sensors.
        command: reproduces them.
        skipped: conditions that the data cannot show, with the reason.
    """
    write_table(out / TABLE, rows)
    models = list(dict.fromkeys(row.model for row in rows))
    plots = [PLOT] if len(models) == 1 else [f"robustness_{number}.png" for number in range(1, len(models) + 1)]
    lines = [
        f"Command: `{command}`. Scores in per cent; in brackets the share of the score with all sensors.",
        *(f"\nNot shown: {reason}." for reason in skipped),
    ]
    for model, plot in zip(models, plots, strict=True):
        own = [row for row in rows if row.model == model]
        _write_plot(out / plot, own)
        lines += ["", *_section(own, plot)]
    write_text(out / PAGE, "\n".join(lines) + "\n")
    return out / PAGE


def _write_plot(path: Path, rows: Sequence[Row]) -> None:
    name = "mAP" if rows[0].mAP is not None else "IoU"
    bars = [Bar(_label(row), getattr(row, name) or 0.0, row.degradation == NONE) for row in rows]
    figure = bars_figure(bars, f"{name} (%)")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, facecolor="white")


def _section(rows: Sequence[Row], plot: str) -> list[str]:
    """Lines of the page on one model."""
    whole = rows[0]
    return [
        f"# Robustness of {whole.model}",
        "",
        "| sensors | degradation | mAP | NDS | IoU |",
        "|---|---|---|---|---|",
        *(
            f"| {row.sensors} | {row.degradation} | {_cell(row.mAP, whole.mAP)} | {_cell(row.NDS, whole.NDS)} | "
            f"{_cell(row.IoU, whole.IoU)} |"
            for row in rows
        ),
        "",
        f"![Score by condition]({plot})",
    ]


def _label(row: Row) -> str:
    return row.sensors if row.degradation == NONE else row.degradation


def _cell(score: float | None, whole: float | None) -> str:
    if score is None:
        return "–"
    return f"{score:.1f} ({score / whole:.2f})" if whole else f"{score:.1f}"
