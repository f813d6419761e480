"""A segmentation from above, laid over the truth: what was found, missed and made up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.geometry.grid import BEVGrid
from avjepa.report.bev import Extent, prepare_bev, upright
from avjepa.report.style import CANVAS, CANVAS_INK, picture

FOUND, MISSED, MADE_UP, UNJUDGED = "#dfe6ea", "#4bb0fe", "#ee6339", "#3b4654"
"""Cells that are of the class and were found; that are and were not; that are not and were; that nobody can tell of."""


@dataclass(frozen=True)
class ClassMap:
    """One class of a segmentation, on a grid of the level frame.

    Attributes:
        name: of the class.
        grid: of the map.
        predicted: which cells are said to be of it.
        present: which are.
        known: of which anybody can tell.
    """

    name: str
    grid: BEVGrid
    predicted: Bool[Tensor, "y x"]
    present: Bool[Tensor, "y x"]
    known: Bool[Tensor, "y x"]


def coloured(shown: ClassMap) -> UInt8[Array, "y x 3"]:
    """A colour for every cell: see ``FOUND``; the canvas where there is nothing and nothing was predicted."""
    predicted, present, known = (part.cpu().numpy() for part in (shown.predicted, shown.present, shown.known))
    colours = np.empty((*predicted.shape, 3), np.float64)
    for cells, colour in (
        (np.ones_like(known), CANVAS),
        (present & predicted, FOUND),
        (present & ~predicted, MISSED),
        (~present & predicted, MADE_UP),
        (~known, UNJUDGED),
    ):
        colours[cells] = to_rgb(colour)
    return (colours * 255).round().astype(np.uint8)


@picture
def draw_class_map(axes: Axes, shown: ClassMap, extent: Extent) -> None:
    """Draw one class; x (forward) points up and y (left) points left.

    Args:
        axes: where to draw; its limits are set to ``extent``.
        shown: the class.
        extent: part of the frame to show.
    """
    grid = shown.grid
    axes.imshow(
        upright(coloured(shown)),
        extent=(grid.y_max, grid.y_min, grid.x_min, grid.x_max),
        interpolation="nearest",
        aspect="equal",
        zorder=-1,  # below the rings
    )
    prepare_bev(axes, extent)  # last: a picture sets the limits to its own
    hits = int((shown.present & shown.predicted & shown.known).sum())
    union = int(((shown.present | shown.predicted) & shown.known).sum())
    score = f", IoU {100 * hits / union:.0f} %" if union else ""
    axes.set_title(f"{shown.name.replace('_', ' ')}{score}")


def class_map_handles() -> list[Any]:
    """Legend entries for what ``draw_class_map`` draws."""
    labels = {FOUND: "found", MISSED: "missed", MADE_UP: "not there", UNJUDGED: "nobody knows"}
    return [Patch(facecolor=colour, edgecolor=CANVAS_INK, label=label) for colour, label in labels.items()]
