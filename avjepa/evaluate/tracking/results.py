"""Scores of tracking as a table on the screen, as CSV and as JSON."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from avjepa.evaluate.tracking.scoring import ALL, DEVKIT_FIGURES, HOTA_FIGURES, TrackingScores
from avjepa.files import write_text

TABLE, SCORES = "tracking.csv", "scores.json"
COLUMNS = ("sensors", "method", *HOTA_FIGURES, *DEVKIT_FIGURES, "seed")
_DIGITS = {"HOTA": 1, "AssA": 1, "DetA": 1, "IDS": 0, "FRAG": 0, "LGD": 2, "TID": 2}


def write_scores_table(path: Path, scores: TrackingScores, sensors: Mapping[str, str], seed: int) -> None:
    """Write a row for each method as CSV, whole or not at all; a figure that is not known is left empty.

    Args:
        path: the file.
        scores: by method.
        sensors: that the boxes of each method are from, as ``C+L+R``.
        seed: of the training that they are from.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for method, found in scores.figures.items():
        figures = {name: "" if math.isnan(value) else round(value, 4) for name, value in found[ALL].items()}
        writer.writerow({"sensors": sensors[method], "method": method, "seed": seed} | figures)
    write_text(path, text.getvalue())


def as_json(scores: TrackingScores) -> dict[str, Any]:
    """All figures by method and class as plain values; ``None`` for what is not known."""
    methods = {
        method: {
            kind: {name: None if math.isnan(value) else value for name, value in figures.items()}
            for kind, figures in of_method.items()
        }
        for method, of_method in scores.figures.items()
    }
    return {"methods": methods, "notes": list(scores.notes)}


def scores_table(title: str, scores: TrackingScores) -> Table:
    """A row for each method, over all classes."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("method")
    for name in (*HOTA_FIGURES, *DEVKIT_FIGURES):
        table.add_column(f"{name} (%)" if name in HOTA_FIGURES else name, justify="right")
    for method, found in scores.figures.items():
        cells = ((name, found[ALL][name]) for name in (*HOTA_FIGURES, *DEVKIT_FIGURES))
        table.add_row(
            method, *("–" if math.isnan(value) else f"{value:.{_DIGITS.get(name, 3)}f}" for name, value in cells)
        )
    return table
