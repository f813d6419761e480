"""Colours and one matplotlib style, applied locally: importing or drawing changes no global setting.

Class and method colours stay apart for readers with protanopia and deuteranopia (CIELAB distance under the simulation
of Machado, Oliveira and Fernandes, 2009) and are the same in every picture of the project.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import matplotlib

CLASS_COLOURS = {
    "car": "#4bb0fe",
    "truck": "#f2a433",
    "construction_vehicle": "#fce849",
    "bus": "#ee6339",
    "trailer": "#ac70cc",
    "barrier": "#919ba8",
    "motorcycle": "#ffa6dc",
    "bicycle": "#3ac79c",
    "pedestrian": "#ceef6d",
    "traffic_cone": "#ba785a",
}
"""One colour a class, bright enough for camera images and for the dark canvas of the bird's-eye view."""

CLASSES = tuple(CLASS_COLOURS)
"""The classes of nuScenes, which pictures show unless they are given others."""

METHOD_COLOURS = {
    "scratch": "#9aa1ab",
    "JEPA": "#2f7fd6",
    "generative": "#e08a00",
    "invariance": "#0f7a5c",
}
"""One colour a pre-training method; mid tones that read on white and on dark paper alike."""


_WRITTEN = {"jepa": "JEPA", "lidar": "LiDAR", "vicreg": "VICReg", "infonce": "InfoNCE", "sigreg": "SIGReg"}


def method_name(method: str) -> str:
    """A method as readers write it: ``jepa_random_masks`` is "JEPA random masks", ``jepa+more`` "JEPA + more"."""
    return " ".join(_WRITTEN.get(word, word) for word in method.replace("+", "_+_").split("_"))


OTHER_COLOURS = (
    "#2f7fd6", "#e08a00", "#0f7a5c", "#c2559d", "#d0512c", "#9aa1ab", "#7a5bd0",
    "#1a9ea8", "#8c6d31", "#93a01c", "#43b35a", "#e58fb5", "#3b4a9e",
)  # fmt: skip
"""For lines that are neither a class nor a method, and for classes that nuScenes does not have."""


def class_colours(classes: Sequence[str]) -> list[str]:
    """One colour for each class of a taxonomy: that of the nuScenes class of the same name, or one of the others."""
    others = itertools.cycle(OTHER_COLOURS)
    return [CLASS_COLOURS.get(name) or next(others) for name in classes]


INK = "#1b2430"
"""Text and axes of a chart; the report page swaps it for a light tone on dark paper."""
RULE = "#d3d9e0"
"""Grid lines of a chart; swapped like ``INK``."""
CANVAS = "#10151c"
"""Background of pictures of the world (bird's-eye views, camera mosaics)."""
CANVAS_INK = "#e8ecf1"
CANVAS_RULE = "#3b4654"

_CHART = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "avjepa",
}

_PICTURE = _CHART | {
    "figure.facecolor": CANVAS,
    "axes.facecolor": CANVAS,
    "axes.edgecolor": CANVAS_RULE,
    "axes.labelcolor": CANVAS_INK,
    "axes.titlecolor": CANVAS_INK,
    "text.color": CANVAS_INK,
    "xtick.color": CANVAS_INK,
    "ytick.color": CANVAS_INK,
    "axes.grid": False,
    "text.parse_math": False,  # names of scenes, sensors and classes may hold dollar signs
}

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def _styled(
    settings: dict[str, object],
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    def decorate(draw: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        @functools.wraps(draw)
        def drawn(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            with matplotlib.rc_context(settings):
                return draw(*args, **kwargs)

        return drawn

    return decorate


chart = _styled(_CHART)
"""Decorator: the function draws in the style of charts (dark ink, transparent paper)."""
picture = _styled(_PICTURE)
"""Decorator: the function draws in the style of pictures of the world (dark canvas)."""
