"""Rank-1 against the gap: from the scorer's file to the figure and the demo's page."""

from pathlib import Path
from typing import Any

from avjepa.report.demo_reidentification import add_reidentification
from avjepa.report.page import ReportPage
from avjepa.report.reidentification import Panel, Point, points_by_method, rank1_figure
from tests.report.test_page import Reader


def figures(events: int, rank1: float | None, interval: list[float] | None = None) -> dict[str, Any]:
    return {"events": events, "rank1": rank1, "intervals": {} if interval is None else {"rank1": interval}}


METRICS = {
    "methods": {
        "constant velocity": {
            "slices": {"gap": {"0.5-1": figures(30, 0.9, [0.85, 0.95]), ">5": figures(0, None), ">2": figures(7, 0.1)}}
        },
        "embedding": {"slices": {"gap": {"0.5-1": figures(30, 0.625), ">5": figures(0, None), ">2": figures(7, 0.2)}}},
    }
}


def test_points_are_of_ranges_that_do_not_overlap_and_hold_events() -> None:
    methods, events = points_by_method(METRICS)
    assert events == {"0.5-1": 30, ">5": 0}
    assert methods == {
        "constant velocity": [Point("0.5-1", 90.0, (85.0, 95.0))],
        "embedding": [Point("0.5-1", 62.5, None)],
    }


def test_the_figure_names_ranges_events_and_methods() -> None:
    methods, events = points_by_method(METRICS)
    (axes,) = rank1_figure([Panel("", methods, events)]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.5-1 s\n30 events", ">5 s\n0 events"]
    assert len(axes.containers) == 2


def test_the_page_has_the_numbers(tmp_path: Path) -> None:
    page = ReportPage("title", "summary")
    add_reidentification(page, METRICS)
    page.write(tmp_path / "page.html")
    text = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "constant velocity90.0–" in text and "embedding62.5–" in text and "0.5-1 s (30 events)" in text
