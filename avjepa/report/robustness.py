"""Bars of a score under conditions."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from avjepa.report.style import INK, OTHER_COLOURS, chart


@dataclass(frozen=True)
class Row:
    """The scores of a model under a condition, in per cent; ``None`` where the model has no such head."""

    model: str
    sensors: str
    """As ``C+L+R``."""
    degradation: str
    """``none`` for a choice of sensors without one."""
    seed: int
    mAP: float | None
    NDS: float | None
    IoU: float | None


@dataclass(frozen=True)
class Bar:
    """A score under a condition."""

    label: str
    score: float
    plain: bool
    """A choice of sensors, rather than a degradation of them."""


@chart
def bars_figure(bars: Sequence[Bar], title: str) -> Figure:
    """Horizontal bars, the first one on top; a line marks its score.

    Args:
        bars: conditions; the first is that of all sensors.
        title: of the score.
    """
    figure = Figure(figsize=(6.8, 0.6 + 0.27 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(bars))
    colours = [OTHER_COLOURS[0] if bar.plain else OTHER_COLOURS[1] for bar in bars]
    axes.barh(places, [bar.score for bar in bars], color=colours, height=0.7)
    longest = max(1.0, *(bar.score for bar in bars))
    for place, bar in zip(places, bars, strict=True):
        inside = bar.score > longest / 8
        side, colour = ("right", "white") if inside else ("left", INK)
        axes.text(bar.score, place, f" {bar.score:.1f} ", ha=side, va="center", color=colour, fontsize=8.5)
    axes.axvline(bars[0].score, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(places, [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.05 * longest)
    axes.set_xlabel(title)
    return figure
