"""A picture of one event: an object before and after it was hidden, and what it could be taken for."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avjepa.report.object_view import ObjectView, draw_crop, draw_patch
from avjepa.report.style import CANVAS_INK, CANVAS_RULE, picture

RIGHT, WRONG = "#43d17a", "#f2a433"
"""Outlines of the object itself and of others; apart for readers who confuse red and green."""
_QUERY = CANVAS_INK
_WIDTH = 13.0  # inches, as everything below
_SIDE = 2.06
_GAP = 0.12
_LARGE = (_WIDTH - 5 * _GAP) / 4
_CAPTION = 0.3
_LINES = 0.5


@dataclass(frozen=True)
class CandidateView:
    """An entry of the gallery.

    Attributes:
        view: as it was seen for the last time; ``None`` where nothing was recorded.
        rank: by the method, from 1.
        is_same: whether it is the object itself.
        lines: what is said below it.
    """

    view: ObjectView | None
    rank: int
    is_same: bool
    lines: Sequence[str]


@dataclass(frozen=True)
class EventView:
    """An event.

    Attributes:
        before: the object when it was last seen; ``None`` where nothing was recorded, as for ``after``.
        after: when it was first seen again.
        before_words: above the object before.
        after_words: above the object after.
        expected: where the motion expected it, see ``draw_patch``.
        candidates: by rank, at most six.
    """

    before: ObjectView | None
    after: ObjectView | None
    before_words: str
    after_words: str
    expected: tuple[float, float, float]
    candidates: Sequence[CandidateView]


@picture
def event_figure(event: EventView) -> Figure:
    """Above, the object before and after the gap, in a camera and from above; below, what it could be taken for."""
    top = _CAPTION + _LARGE
    height = top + _CAPTION + _SIDE + _LINES + 2 * _GAP
    figure = Figure(figsize=(_WIDTH, height))

    def place(left: float, above: float, side: float) -> Axes:
        return figure.add_axes((left / _WIDTH, 1 - (above + side) / height, side / _WIDTH, side / height))

    def words(left: float, above: float, text: str, colour: str = CANVAS_INK, size: float = 8.5) -> None:
        figure.text(left / _WIDTH, 1 - above / height, text, va="center", color=colour, fontsize=size)

    for number, (view, said, expected) in enumerate(
        ((event.before, event.before_words, None), (event.after, event.after_words, event.expected))
    ):
        left = _GAP + 2 * number * (_LARGE + _GAP)
        words(left, _CAPTION / 2, said)
        colour = RIGHT if number == 0 else _QUERY
        _draw(place(left, _CAPTION, _LARGE), view, colour, crop=True)
        _draw(place(left + _LARGE + _GAP, _CAPTION, _LARGE), view, colour, crop=False, expected=expected)
    words(_GAP, top + _GAP + _CAPTION / 2, "What it could be taken for, the likeliest first, as each was last seen:")
    for number, candidate in enumerate(event.candidates):
        left, above = _GAP + number * (_SIDE + _GAP / 2), top + _GAP + _CAPTION
        colour = RIGHT if candidate.is_same else WRONG
        axes = place(left, above, _SIDE)
        _draw(axes, candidate.view, colour, crop=candidate.view is not None and candidate.view.crop is not None)
        for spine in axes.spines.values():
            spine.set(color=colour if candidate.is_same else CANVAS_RULE, linewidth=2.5 if candidate.is_same else 0.8)
        for line, text in enumerate(candidate.lines):
            words(left, above + _SIDE + 0.14 + 0.16 * line, text, colour if line == 0 else CANVAS_INK, 7.5)
    return figure


def _draw(
    axes: Axes,
    view: ObjectView | None,
    colour: str,
    crop: bool,
    expected: tuple[float, float, float] | None = None,
) -> None:
    if view is not None and not crop:
        draw_patch(axes, view.patch, colour, expected)
        return
    if view is not None and view.crop is not None:
        draw_crop(axes, view.crop, colour)
        return
    axes.set_xticks([])
    axes.set_yticks([])
    reason = "nothing was recorded" if view is None else "no camera sees it"
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, fontsize=8)
