"""How often an object is recognised, against how long it was hidden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from avjepa.ranges import Number
from avjepa.report.style import OTHER_COLOURS, chart

_LEARNED = "embedding"
_IN_OTHERS = ">2"
"""Events that are counted in other ranges too."""


@dataclass(frozen=True)
class Point:
    """Rank-1 of a method over one range of gaps, in per cent."""

    gap: str
    rank1: float
    interval: tuple[float, float] | None
    """Where it lies over scenes that are drawn anew, or one standard deviation over seeds to each side."""


@dataclass(frozen=True)
class Panel:
    """Lines that are drawn together.

    Attributes:
        title: above them; may be empty.
        methods: points by name of the method, without those ranges that it has no figure for.
        events: in each range of gaps, in the order of the axis.
    """

    title: str
    methods: Mapping[str, Sequence[Point]]
    events: Mapping[str, Number]


def points_by_method(metrics: Mapping[str, Any]) -> tuple[dict[str, list[Point]], dict[str, int]]:
    """The lines of the figure, and the events of every range of gaps, from the file that a scorer wrote."""
    methods: dict[str, list[Point]] = {}
    events: dict[str, int] = {}
    for name, method in metrics["methods"].items():
        found = {gap: figures for gap, figures in method["slices"]["gap"].items() if gap != _IN_OTHERS}
        events |= {gap: figures["events"] for gap, figures in found.items()}
        methods[name] = [
            Point(gap, 100 * figures["rank1"], _per_cent(figures["intervals"].get("rank1")))
            for gap, figures in found.items()
            if figures["events"]
        ]
    return methods, events


def _per_cent(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


@chart
def rank1_figure(panels: Sequence[Panel]) -> Figure:
    """Lines over ranges of gaps; methods with embeddings are drawn thick, the others thin.

    Args:
        panels: side by side; a method has one colour in all of them.
    """
    figure = Figure(figsize=(1.6 + 5.2 * len(panels), 4.2), layout="constrained")
    names = list(dict.fromkeys(name for panel in panels for name in panel.methods))
    colours = {name: OTHER_COLOURS[number % len(OTHER_COLOURS)] for number, name in enumerate(names)}
    handles: dict[str, ErrorbarContainer] = {}
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        handles |= _draw(axes, panel, colours)
        axes.set_title(panel.title)
        axes.set_xlabel("time from the last sighting to the next")
    figure.axes[0].set_ylabel("rank-1 (%)")
    figure.axes[0].set_ylim(0, 103)
    figure.legend(handles=[handles[name] for name in names], loc="outside upper center", ncols=3)
    return figure


def _draw(axes: Axes, panel: Panel, colours: Mapping[str, str]) -> dict[str, ErrorbarContainer]:
    places = {gap: place for place, gap in enumerate(panel.events)}
    middle = (len(panel.methods) - 1) / 2
    lines = {}
    for number, (method, points) in enumerate(panel.methods.items()):
        learned = _LEARNED in method and "random" not in method
        x = [places[point.gap] + 0.035 * (number - middle) for point in points]
        intervals = [point.interval or (point.rank1, point.rank1) for point in points]
        below = [max(0.0, point.rank1 - low) for point, (low, _) in zip(points, intervals, strict=True)]
        above = [max(0.0, high - point.rank1) for point, (_, high) in zip(points, intervals, strict=True)]
        lines[method] = axes.errorbar(
            x, [point.rank1 for point in points], yerr=[below, above], label=method, marker="o", markersize=5 + learned,
            color=colours[method], linewidth=2.4 if learned else 1.2, elinewidth=0.8,
            linestyle="solid" if learned else (0, (4, 1.6)),
        )  # fmt: skip
    axes.set_xticks(list(places.values()), [f"{gap} s\n{count:,.0f} events" for gap, count in panel.events.items()])
    return lines
