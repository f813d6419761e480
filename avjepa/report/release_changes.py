"""How much better or worse a release is, figure by figure, and a keyframe with the boxes of two releases."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from avjepa.data.sample import Sample
from avjepa.report.bev import Detections, draw_bev, legend_handles, square_extent
from avjepa.report.style import CLASSES, INK, OTHER_COLOURS, chart, picture

_BETTER, _WORSE, _UNJUDGED = OTHER_COLOURS[0], OTHER_COLOURS[4], OTHER_COLOURS[5]


@dataclass(frozen=True)
class ChangeBar:
    """The change of a figure, in points.

    Attributes:
        label: of the figure.
        change: by how much it is better.
        interval: where the change lies over scenes that are drawn anew.
        permitted: what may be lost.
        fails: whether more is surely lost.
        judged: whether anything is said of it.
    """

    label: str
    change: float
    interval: tuple[float, float]
    permitted: float
    fails: bool
    judged: bool


@chart
def changes_figure(bars: Sequence[ChangeBar], title: str) -> Figure:
    """A point and an interval for each figure, the first one on top; a tick marks what may be lost."""
    figure = Figure(figsize=(7.2, 1.0 + 0.26 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for place, bar in enumerate(bars):
        colour = _UNJUDGED if not bar.judged else _WORSE if bar.fails else _BETTER
        axes.plot(bar.interval, (place, place), color=colour, linewidth=2.2, solid_capstyle="round")
        axes.plot(bar.change, place, "o", color=colour, markersize=5)
        axes.plot(-bar.permitted, place, "|", color=INK, markersize=9)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("change (points); | what may be lost")
    axes.set_title(title)
    return figure


_WIDTH, _TITLE, _LABELS, _LEGEND = 13.0, 0.45, 0.6, 0.5  # inches


@dataclass(frozen=True)
class ReleaseBoxes:
    """What a release found.

    Attributes:
        title: above its picture.
        detections: in the BEV frame of the sample.
    """

    title: str
    detections: Detections


@picture
def two_releases_figure(
    sample: Sample,
    releases: Sequence[ReleaseBoxes],
    reach: float,
    classes: Sequence[str] = CLASSES,
    note: str = "",
) -> Figure:
    """A keyframe from above, once with the boxes of each of two releases over the annotated ones.

    Args:
        sample: the keyframe, with what is to be seen of it.
        releases: what each found.
        reach: metres to each side.
        classes: names of the classes, by their index.
        note: what to say above, beside scene and keyframe.
    """
    side = _WIDTH / 2 - _LABELS
    height = _TITLE + side + _LABELS + _LEGEND
    figure = Figure(figsize=(_WIDTH, height))
    handles: dict[str, object] = {}
    for column, release in enumerate(releases):
        left = _LABELS + column * (side + _LABELS)
        low = 1 - (_TITLE + side) / height
        axes = figure.add_axes((left / _WIDTH, low, (side - 0.1) / _WIDTH, (side - 0.1) / height))
        draw_bev(axes, sample, square_extent(reach), release.detections, classes)
        axes.set_title(release.title)
        handles |= {handle.get_label(): handle for handle in legend_handles(sample, release.detections, classes)}
    figure.legend(handles=list(handles.values()), loc="lower center", ncols=min(8, max(1, len(handles))))
    facts = "  ·  ".join(fact for fact in (sample.scene, sample.token, note) if fact)
    figure.text(0.5, 1 - 0.14 / height, facts, fontsize=8.5, fontfamily="monospace", ha="center", va="top")
    return figure
