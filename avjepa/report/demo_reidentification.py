"""The part of the demonstration's page on objects that were hidden and come back."""

from collections.abc import Mapping
from typing import Any

from avjepa.errors import counted
from avjepa.report.page import Cell, ReportPage
from avjepa.report.reidentification import Panel, points_by_method, rank1_figure


def add_reidentification(page: ReportPage, metrics: Mapping[str, Any]) -> None:
    """A section with a table and a figure of rank-1 against the gap.

    Args:
        page: receives it.
        metrics: what the scorer of re-identification wrote.
    """
    methods, events = points_by_method(metrics)
    page.section("The same object again")
    page.add_text(
        "A second head on the same map gives every box an embedding. An event is an object that was seen, then hidden "
        "for half a second or more, and is seen again: which of the objects of its class that were seen before is it? "
        "Rank-1 is how often the right one comes first. Motion alone is strong where most objects are parked; the size "
        "of an annotated box names the object."
    )
    rows: list[list[Cell]] = []
    for name, points in methods.items():
        rank1 = {point.gap: f"{point.rank1:.1f}" for point in points}
        rows.append([name, *(rank1.get(gap) for gap in events)])
    headings = [f"{gap} s ({counted(count, 'event')})" for gap, count in events.items()]
    page.add_table(rows, ["method", *headings], "Rank-1, per cent.")
    page.add_figure(
        rank1_figure([Panel("", methods, events)]),
        "Rank-1 against the time for which an object was hidden; whiskers are 95 % intervals over scenes.",
        "Lines of rank-1 by gap and method; the numbers are in the table above",
    )
