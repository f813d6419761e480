"""A comparison as a table on the screen, JSON and a plot."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from avjepa.errors import counted
from avjepa.evaluate.reidentification.comparison import NO_SENSORS, Comparison, MethodScores
from avjepa.evaluate.reidentification.events import GAPS
from avjepa.evaluate.reidentification.scores import Figures
from avjepa.evaluate.reidentification.slices import ALL, OVER_2S
from avjepa.files import replacing
from avjepa.report.reidentification import Panel, Point, rank1_figure

SCORES, PLOT = "scores.json", "reid.png"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All figures by method, then by group and name of the slice, as plain values from 0 to 1."""
    methods = {}
    for method, scored in comparison.methods.items():
        by_group: dict[str, dict[str, Any]] = {}
        for (group, name), found in scored.slices.items():
            by_group.setdefault(group, {})[name] = found.as_json()
        pairs = None if scored.pairs is None else asdict(scored.pairs)
        methods[method] = {"sensors": scored.sensors, "slices": by_group, "pairs": pairs}
    return {
        "methods": methods,
        "parameters": asdict(comparison.parameters),
        "events_fitted_on": comparison.fitted_on,
        "scenes": comparison.scenes,
        "notes": list(comparison.notes),
    }


def comparison_table(title: str, comparison: Comparison) -> Table:
    """Rank-1 in per cent by range of gaps, then the other figures over all events.

    Args:
        title: says what was scored, above.
        comparison: at least one method.
    """
    keys = [*(("gap", name) for name in (*GAPS, OVER_2S)), (ALL, ALL)]
    events = {key: next(iter(comparison.methods.values())).slices[key].events for key in keys}
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("rank-1 (%) after a gap of\nevents")
    for key in keys:
        table.add_column(f"{key[1]}{' s' if key[0] == 'gap' else ''}\n{events[key]:,}", justify="right")
    for heading in ("mAP", "AUROC", "FPR95", "accuracy", "F1"):
        table.add_column(heading, justify="right")
    for method, scored in comparison.methods.items():
        whole = scored.slices[(ALL, ALL)]
        pairs = (math.nan, math.nan) if scored.pairs is None else (scored.pairs.accuracy, scored.pairs.f1)
        figures = [*(scored.slices[key].rank1 for key in keys), whole.mAP, whole.auroc, whole.fpr95, *pairs]
        name = method if scored.sensors == NO_SENSORS else f"{method} ({scored.sensors})"
        table.add_row(name, *("–" if math.isnan(value) else f"{100 * value:.1f}" for value in figures))
    return table


def said_below(comparison: Comparison) -> list[str]:
    """What a reader of the table has to know, line by line."""
    whole = next(iter(comparison.methods.values())).slices[(ALL, ALL)]
    first = (
        f"{counted(whole.events, 'event')} and {counted(whole.newborns, 'newborn')} in "
        f"{counted(comparison.scenes, 'scene')}; AUROC and FPR95 tell them apart; accuracy and F1 are of balanced pairs"
    )
    return [first, *comparison.notes]


def write_plot(path: Path, comparison: Comparison) -> None:
    """Draw rank-1 against the gap, with 95 % intervals over scenes where there are any."""
    events = {name: next(iter(comparison.methods.values())).slices[("gap", name)].events for name in GAPS}
    lines = {method: _points(scored) for method, scored in comparison.methods.items()}
    figure = rank1_figure([Panel("", lines, events)])
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, facecolor="white")


def _points(scored: MethodScores) -> list[Point]:
    found = {name: scored.slices[("gap", name)] for name in GAPS}
    return [_point(name, figures) for name, figures in found.items() if figures.events]


def _point(name: str, figures: Figures) -> Point:
    interval = figures.intervals.get("rank1")
    return Point(name, 100 * figures.rank1, None if interval is None else (100 * interval[0], 100 * interval[1]))
