"""The tables of a comparison, from its record; scores in points of 100."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = tuple[str, ...]

FIGURES = ("figure", "verdict", "objects", "scenes", "old", "new", "change", "95 % of draws", "surely lost", "may lose")
PLACES = ("scene", "old mAP", "new mAP", "change")
THRESHOLDS = ("class", "old score", "precision", "recall", "new score", "precision", "recall")
COSTS = ("cost", "old", "new")


def figure_rows(figures: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row of ``FIGURES`` for each figure."""
    return [
        (
            one["figure"], "fails" if one["fails"] else one["not_judged"] or "passes", f"{one['objects']:,}",
            str(one["scenes"]), points(one["old"]), points(one["new"]),
            signed(one["change"]), f"{signed(one['interval'][0])} to {signed(one['interval'][1])}",
            points(max(0.0, one["sure_loss"])) if one["sure_loss"] is not None else "–", points(one["most_loss"]),
        )
        for one in figures
    ]  # fmt: skip


def place_rows(places: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row of ``PLACES`` for each scene."""
    return [(one["name"], points(one["old"]), points(one["new"]), signed(one["change"])) for one in places]


def threshold_rows(thresholds: Mapping[str, Sequence[Mapping[str, float] | None]]) -> list[Row]:
    """A row of ``THRESHOLDS`` for each class."""
    rows: list[Row] = []
    for name, both in thresholds.items():
        cells = [
            ("–", "–", "–") if one is None else (f"{one['score']:.2f}", points(one["precision"]), points(one["recall"]))
            for one in both
        ]
        rows.append((name, *cells[0], *cells[1]))
    return rows


def cost_rows(costs: Mapping[str, Sequence[float | None]]) -> list[Row]:
    """A row of ``COSTS`` for each cost."""
    return [(name, *("–" if value is None else f"{value:,.1f}" for value in both)) for name, both in costs.items()]


def markdown(header: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """The lines of a table in Markdown."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *cells)]


def points(value: float | None) -> str:
    """A fraction in points of 100."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """As ``points``, with a sign."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:+.1f}".replace("-", "−")
