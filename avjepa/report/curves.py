"""Curves of training runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from avjepa.data.arrays import Array
from avjepa.report.style import INK, OTHER_COLOURS, chart, method_name

Curves = Mapping[str, tuple[Sequence[int], Sequence[float]]]
"""Steps and values of every metric that a run logged."""


@dataclass(frozen=True)
class Line:
    """One metric in a panel."""

    metric: str
    label: str = ""
    """What sets it apart from the other lines of the panel; empty for the panel's main line."""


@dataclass(frozen=True)
class Panel:
    """One set of axes: the same metrics of every run."""

    title: str
    lines: tuple[Line, ...]
    """The first is drawn solid, the next dashed, then dotted."""
    reference: tuple[float, str] | None = None
    """A level that means something, and what it means."""
    noisy: bool = True
    """Whether long curves are smoothed."""


PRETRAINING_PANELS = (
    Panel("Loss", (Line("train/loss"),)),
    Panel(
        "Loss / loss of a constant prediction",
        (
            Line("collapse/loss_vs_constant_occupied", "occupied cells"),
            Line("collapse/loss_vs_constant_empty", "empty"),
        ),
        reference=(1.0, "nothing learned"),
    ),
    Panel(
        "Effective rank (RankMe)",
        (Line("collapse/rank_centred", "centred"), Line("collapse/rank_uncentred", "uncentred")),
    ),
    Panel(
        "Std of embeddings, occupied cells",
        (
            Line("collapse/context_std_occupied", "context"),
            Line("collapse/target_std_occupied", "target"),
            Line("collapse/prediction_std_occupied", "prediction"),
        ),
    ),
    Panel(
        "Mean pairwise cosine, occupied cells",
        (
            Line("collapse/context_cosine_occupied", "context"),
            Line("collapse/target_cosine_occupied", "target"),
            Line("collapse/prediction_cosine_occupied", "prediction"),
        ),
        reference=(1.0, "collapse"),
    ),
    Panel(
        "Cosine of predictions with targets",
        (
            Line("collapse/target_cosine_own", "own"),
            Line("collapse/target_cosine_other_sample", "other sample, same cell"),
        ),
    ),
    Panel(
        "Probe for hidden occupied cells (AP)",
        (Line("collapse/probe_precision", "probe"), Line("collapse/probe_chance", "chance")),
    ),
)
"""The loss, and what tells whether it means anything (``pretrain.diagnostics``)."""

FINETUNING_PANELS = (
    Panel("Loss", (Line("train/loss"),)),
    Panel("Learning rate", (Line("learning_rate"),), noisy=False),
)

_LONG = 60
"""Values above which a curve is smoothed."""
_DASHES = ("solid", (0, (4, 1.6)), (0, (1, 1.4)))


def finite(curves: Curves, metric: str) -> tuple[Float[Array, "step"], Float[Array, "step"]]:
    """Steps in ascending order and values of one metric, without what is not finite; empty where it was not logged.

    Where a step was logged twice, as by a run that was interrupted and resumed, the later value stands.
    """
    steps, values = curves.get(metric, ((), ()))
    newest = {step: value for step, value in zip(steps, values, strict=True) if math.isfinite(value)}
    ordered = sorted(newest)
    return np.array(ordered, float), np.array([newest[step] for step in ordered], float)


def smoothed(values: Float[Array, "step"], span: int) -> Float[Array, "step"]:
    """Mean over a window of ``span`` values about each; at both ends, over the part of the window that exists."""
    totals = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    first, last = np.maximum(index - span // 2, 0), np.minimum(index + span // 2 + 1, len(values))
    return np.asarray((totals[last] - totals[first]) / (last - first))


@chart
def curves_figure(
    runs: Mapping[str, Curves],
    panels: Sequence[Panel] = PRETRAINING_PANELS,
    *,
    colours: Mapping[str, str] | None = None,
    columns: int = 3,
) -> Figure:
    """Panels of curves, every run in its own colour. Panels that no run has a value for are left out.

    Long, noisy curves are drawn faint with their moving average on top.

    Args:
        runs: curves by name of the run.
        panels: what to draw.
        colours: by name of the run; chosen where not given.
        columns: panels per row.
    """
    chosen = {
        name: (colours or {}).get(name, OTHER_COLOURS[index % len(OTHER_COLOURS)]) for index, name in enumerate(runs)
    }
    shown = [panel for panel in panels if any(len(finite(c, x.metric)[0]) for c in runs.values() for x in panel.lines)]
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(10.5, 2.55 * rows + (0.35 if len(runs) > 1 else 0.1)), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    for index, panel in enumerate(shown):
        axes = figure.add_subplot(grid[divmod(index, columns)])
        _draw_panel(axes, panel, runs, chosen)
        axes.set_xlabel("optimiser step" if index >= len(shown) - columns else "")
    if not shown:
        figure.text(0.5, 0.5, "nothing was logged", ha="center", va="center")
    if len(runs) > 1:
        handles = [Line2D([], [], color=colour, label=method_name(name)) for name, colour in chosen.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _draw_panel(axes: Axes, panel: Panel, runs: Mapping[str, Curves], colours: Mapping[str, str]) -> None:
    axes.set_title(panel.title, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    drawn = set()
    for run, curves in runs.items():
        for line, dashes in zip(panel.lines, _DASHES, strict=False):
            steps, values = finite(curves, line.metric)
            if not len(steps):
                continue
            drawn.add(line)
            if panel.noisy and len(values) > _LONG:
                axes.plot(steps, values, color=colours[run], linewidth=0.6, alpha=0.3)
                values = smoothed(values, len(values) // 20)
            marker = "o" if len(values) == 1 else ""
            axes.plot(steps, values, color=colours[run], linestyle=dashes, marker=marker, markersize=4)
    if panel.reference is not None:
        level, meaning = panel.reference
        axes.axhline(level, color=INK, linewidth=0.8, alpha=0.6)
        axes.annotate(
            meaning, (1, level), xycoords=("axes fraction", "data"), xytext=(-2, -2), textcoords="offset points",
            ha="right", va="top", fontsize=7.5, alpha=0.8,
        )  # fmt: skip
    if len(drawn) > 1 or any(line.label for line in drawn):
        axes.legend(
            handles=[
                Line2D([], [], color=INK, linestyle=dashes, linewidth=1.2, label=line.label)
                for line, dashes in zip(panel.lines, _DASHES, strict=False)
                if line in drawn
            ],
            fontsize=7.5,
            handlelength=2.2,
        )
