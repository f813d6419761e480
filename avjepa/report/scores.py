"""Charts of scores over several seeds: means, spread, and every single run."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from avjepa.report.seed_statistics import Spread
from avjepa.report.style import INK, METHOD_COLOURS, OTHER_COLOURS, chart, method_name

Scores = Mapping[str, Mapping[float, Sequence[float]]]
"""By method, then by the quantity on the horizontal axis: one score a seed."""


_LEGEND_COLUMNS = 3
_FEW_METHODS = 6  # a longer legend would hide points


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method: its own where the project has one for it, else one that none of the others has."""
    spare = [colour for colour in OTHER_COLOURS if colour not in METHOD_COLOURS.values()]
    strangers = [method for method in methods if method_name(method) not in METHOD_COLOURS]
    return {
        method: METHOD_COLOURS.get(method_name(method)) or spare[strangers.index(method) % len(spare)]
        for method in methods
    }


@chart
def score_lines_figure(scores: Scores, *, horizontal: str, vertical: str, ticks: str = "{:g}") -> Figure:
    """Score against a quantity on a logarithmic axis: label fraction, labelled scenes, or GPU-hours.

    A line through the means, a band of one standard deviation over seeds, and a dot for every run.

    Args:
        scores: runs.
        horizontal: title of the horizontal axis.
        vertical: title of the vertical axis.
        ticks: format of a number on the horizontal axis; ``"{:.0%}"`` for fractions.
    """
    figure = Figure(figsize=(6.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    colours = method_colours(list(scores))
    for method, by_quantity in scores.items():
        quantities = sorted(quantity for quantity in by_quantity if Spread.of(by_quantity[quantity]).seeds)
        spreads = [Spread.of(by_quantity[quantity]) for quantity in quantities]
        means = np.array([spread.mean for spread in spreads])
        stds = np.array([spread.std or 0.0 for spread in spreads])
        axes.fill_between(quantities, means - stds, means + stds, color=colours[method], alpha=0.16, linewidth=0)
        axes.plot(quantities, means, color=colours[method], marker="o", markersize=5, label=method_name(method))
        for quantity in quantities:
            runs = by_quantity[quantity]
            if len(runs) > 1:
                axes.plot([quantity] * len(runs), runs, ".", color=colours[method], markersize=4, alpha=0.55)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(spaced({q for by_quantity in scores.values() for q in by_quantity})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ticks.format(value)))
    axes.set(xlabel=horizontal, ylabel=vertical)
    if axes.get_ylim()[0] < 0:
        axes.set_ylim(bottom=0)  # a band may reach below, a score does not
    axes.legend()
    return figure


def spaced(quantities: Collection[float], ratio: float = 1.15) -> list[float]:
    """Those quantities that are at least ``ratio`` apart, ascending, so that their labels do not touch."""
    kept: list[float] = []
    for quantity in sorted(quantities):
        if not kept or quantity >= ratio * kept[-1]:
            kept.append(quantity)
    return kept


@chart
def score_scatter_figure(
    points: Mapping[str, Sequence[tuple[float, float]]], *, horizontal: str, vertical: str
) -> Figure:
    """Score against a measure of the backbone, a dot for every run.

    Args:
        points: by method, (measure, score) of every run.
        horizontal: title of the horizontal axis.
        vertical: title of the vertical axis.
    """
    figure = Figure(figsize=(6.8 if len(points) <= _FEW_METHODS else 8.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    colours = method_colours(list(points))
    for method, runs in points.items():
        axes.plot(*zip(*runs, strict=True), "o", color=colours[method], markersize=5.5, label=method_name(method))
    axes.set(xlabel=horizontal, ylabel=vertical)
    if len(points) > _FEW_METHODS:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    else:
        axes.legend()
    return figure


@chart
def score_bars_figure(groups: Mapping[str, Mapping[str, Sequence[float]]], *, vertical: str) -> Figure:
    """A bar for every method in every group, as high as the mean over seeds, with a whisker of one standard deviation.

    Args:
        groups: by group (a sensor, a class), then by method: one score a seed. A method may be missing in a group.
        vertical: title of the vertical axis.
    """
    methods = list(dict.fromkeys(method for group in groups.values() for method in group))
    colours = method_colours(methods)
    figure = Figure(
        figsize=(max(6.8, 0.6 + 0.34 * len(methods) * len(groups) + 0.5 * len(groups)), 4.2), layout="constrained"
    )
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(methods))
    for column, method in enumerate(methods):
        for place, group in enumerate(groups.values()):
            spread = Spread.of(group.get(method, ()))
            if not spread.seeds:
                continue
            at = place + (column - (len(methods) - 1) / 2) * width
            axes.bar(at, spread.mean, width * 0.92, color=colours[method])
            if spread.std is not None:
                axes.errorbar(at, spread.mean, spread.std, color=INK, linewidth=1, capsize=2.5)
                axes.plot([at] * len(group[method]), group[method], ".", color=INK, markersize=3.5, alpha=0.6)
            axes.annotate(
                f"{spread.mean:.1f}", (at, max(spread.mean + (spread.std or 0.0), *group[method])), xytext=(0, 4),
                textcoords="offset points", ha="center", fontsize=7.5,
            )  # fmt: skip
    axes.set_xticks(range(len(groups)), [name.replace("_", " ") for name in groups])
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(vertical)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.12)
    figure.legend(
        handles=[Patch(color=colours[method], label=method_name(method)) for method in methods],
        loc="outside upper center",
        ncols=max(1, min(len(methods), _LEGEND_COLUMNS)),
    )
    return figure
