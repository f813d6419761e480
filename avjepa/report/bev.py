"""A sample from above: points, radar returns, ground-truth boxes and predictions.

Every bird's-eye picture of the project is drawn the way the driver sees the road on a map: **x (forward) points up and
y (left) points left**. Axis labels and ticks carry the true coordinates of the BEV frame in metres.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Polygon
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.sample import Sample
from avjepa.geometry.boxes import box_corners
from avjepa.report.style import CANVAS, CANVAS_INK, CANVAS_RULE, CLASSES, class_colours, picture

Detections = tuple[Float[Tensor, "box 9"], Float[Tensor, "box"], Int64[Tensor, "box"]]
"""Predictions for one sample: boxes in the BEV frame (``geometry.boxes.BOX_FIELDS``), scores in [0, 1], index into
the classes."""

Extent = tuple[float, float, float, float]
"""What a picture shows: x_min, x_max, y_min, y_max in metres of the BEV frame."""

HEIGHT_RANGE = (-1.0, 4.0)
"""Heights (m) between which the colour of LiDAR points varies."""
HEIGHT_COLOURS = LinearSegmentedColormap.from_list(
    "height", ["#2c3d55", "#3f6f8f", "#6fa3ad", "#b9cdbf", "#f4efdc"]
)  # luminance grows with height and no hue competes with the boxes
RADAR_COLOUR = "#a5f5ff"

_SLOWEST_ARROW = 0.5  # m/s: Doppler noise below this would cover the picture with stubs
_LABEL_ROOM = 0.05  # of the longer side: half of a range's label, and a little air
_RADAR_PERIOD = 1 / 13  # s: returns older than this are of earlier sweeps
_EGO_OUTLINE = ((2.9, 0.0), (2.3, 0.87), (-1.2, 0.87), (-1.2, -0.87), (2.3, -0.87))  # nuScenes' ego: rear axle at 0


def square_extent(half_side: float) -> Extent:
    """The square about the ego that reaches ``half_side`` metres to each side."""
    return (-half_side, half_side, -half_side, half_side)


def footprints(boxes: Float[Tensor, "box 9"]) -> Float[Array, "box 4 2"]:
    """(x, y) of the four corners seen from above: front left, front right, rear right, rear left."""
    return box_corners(boxes.detach().double().cpu())[:, [0, 3, 7, 4], :2].numpy()


def heading_ticks(boxes: Float[Tensor, "box 9"]) -> Float[Array, "box 2 2"]:
    """(x, y) of a line from every box's centre to the middle of its front edge and a little beyond."""
    boxes = boxes.detach().double().cpu()
    direction = torch.stack((boxes[:, 6].cos(), boxes[:, 6].sin()), dim=-1)
    reach = (boxes[:, 3] / 2 + 0.25 * boxes[:, 4])[:, None]
    return torch.stack((boxes[:, :2], boxes[:, :2] + reach * direction), dim=1).numpy()


def upright(rows_along_y: UInt8[Array, "y x 3"]) -> UInt8[Array, "x y 3"]:
    """A map of the BEV grid as a picture whose top is forward and whose left is left."""
    return np.ascontiguousarray(rows_along_y.transpose(1, 0, 2)[::-1, ::-1])


def class_rgba(
    class_index: Int64[Tensor, "box"], classes: Sequence[str], alpha: Sequence[float] | float = 1.0
) -> list[Any]:
    """One RGBA colour per box."""
    alphas = [alpha] * len(class_index) if isinstance(alpha, float) else alpha
    colours = class_colours(classes)
    return [to_rgba(colours[i], a) for i, a in zip(class_index.tolist(), alphas, strict=True)]


@picture
def draw_bev(
    axes: Axes,
    sample: Sample,
    extent: Extent,
    detections: Detections | None = None,
    classes: Sequence[str] = CLASSES,
) -> None:
    """Draw a sample from above into ``axes``.

    LiDAR points are coloured by height. Radar returns carry an arrow of one second of their compensated velocity; those
    of earlier sweeps are dots. A ground-truth box is a filled shape (faint where no LiDAR or radar point lies in it), a
    prediction an outline that is bolder the higher its score; both have the colour of their class. A tick shows the
    heading: of the predictions where they are drawn, so that the two do not hide each other, else of the ground truth.

    Args:
        axes: where to draw; its limits are set to ``extent``.
        sample: whatever sensors and labels it has are drawn.
        extent: part of the BEV frame to show.
        detections: predictions in the BEV frame of the sample, all of which are drawn.
        classes: names of the classes, by their index.
    """
    prepare_bev(axes, extent)
    if sample.lidar is not None:
        _draw_lidar(axes, sample.lidar, extent)
    if sample.labels is not None:
        unseen = ~sample.labels.with_points()
        outline = 0.9 if detections is None else 0.0
        for chosen, fill, line in ((~unseen, 0.42, outline), (unseen, 0.12, outline / 2)):
            labels = sample.labels.selected(chosen)
            edges, faces = (class_rgba(labels.class_index, classes, alpha) for alpha in (line, fill))
            _draw_truth(axes, labels.boxes, edges, faces)
    if sample.radar is not None:
        _draw_radar(axes, sample.radar)
    if detections is not None:
        _draw_detections(axes, detections, classes)


def legend_handles(sample: Sample, detections: Detections | None = None, classes: Sequence[str] = CLASSES) -> list[Any]:
    """Legend entries for what ``draw_bev`` draws of this sample: the classes that occur, then the styles."""
    seen: set[int] = set()
    handles: list[Any] = []
    if sample.labels is not None:
        seen |= set(sample.labels.class_index.tolist())
    if detections is not None:
        seen |= set(detections[2].tolist())
    for index in sorted(seen):
        handles.append(Patch(color=class_colours(classes)[index], label=classes[index].replace("_", " ")))
    if sample.labels is not None and len(sample.labels):
        handles.append(Patch(facecolor=to_rgba(CANVAS_INK, 0.38), edgecolor=CANVAS_INK, label="ground truth"))
    if detections is not None:
        handles.append(Patch(facecolor="none", edgecolor=CANVAS_INK, linewidth=1.6, label="prediction"))
    if sample.radar is not None:
        handles.append(
            Line2D([], [], color=RADAR_COLOUR, marker="D", markersize=3.5, linewidth=1, label="radar, 1 s of velocity")
        )
    return handles


def prepare_bev(axes: Axes, extent: Extent) -> None:
    """Limits, labels, rings of distance and the outline of the ego vehicle: what every view from above has."""
    x_min, x_max, y_min, y_max = extent
    axes.set_xlim(y_max, y_min)  # reversed: left is left
    axes.set_ylim(x_min, x_max)
    axes.set_aspect("equal")
    axes.set_facecolor(CANVAS)
    axes.set_xlabel("y, left (m)")
    axes.set_ylabel("x, forward (m)")
    reach = max(abs(edge) for edge in extent)
    step = next((s for s in (5, 10, 20, 50) if reach / s <= 6), 100)
    for radius in np.arange(step, reach * 1.5, step):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=CANVAS_RULE, linewidth=0.6, zorder=0))
        at = radius * np.sqrt(0.5)
        if at > min(x_max, -y_min) - _LABEL_ROOM * max(x_max - x_min, y_max - y_min):
            continue  # the border would cut it
        axes.annotate(
            f"{radius:.0f} m",
            (-at, at),
            color=CANVAS_INK,
            fontsize=7,
            ha="center",
            va="center",
            clip_on=True,
            bbox={"facecolor": CANVAS, "alpha": 0.7, "edgecolor": "none", "boxstyle": "round,pad=0.15"},
            zorder=6,  # above the boxes
        )
    axes.add_patch(
        Polygon([(y, x) for x, y in _EGO_OUTLINE], facecolor=CANVAS_INK, edgecolor="none", alpha=0.85, zorder=4)
    )


def _draw_lidar(axes: Axes, lidar: Float[Tensor, "point 6"], extent: Extent) -> None:
    points = lidar.detach().cpu()
    x_min, x_max, y_min, y_max = extent
    x, y = points[:, 0], points[:, 1]
    points = points[(x >= x_min) & (x <= x_max) & (y >= y_min) & (y <= y_max)]
    points = points[points[:, 2].argsort()]  # the highest on top, as seen from above
    size = 72 * axes.bbox.width / axes.figure.dpi / (y_max - y_min)  # points per metre
    axes.scatter(
        points[:, 1].numpy(),
        points[:, 0].numpy(),
        c=points[:, 2].numpy(),
        s=float(np.clip(0.16 * size, 0.35, 1.2)) ** 2,
        marker="o",
        linewidths=0,
        cmap=HEIGHT_COLOURS,
        norm=Normalize(*HEIGHT_RANGE),
        rasterized=True,
        zorder=1,
    )


def _draw_radar(axes: Axes, radar: Float[Tensor, "point 16"]) -> None:
    points = radar.detach().cpu().numpy()
    older = points[:, RADAR_FIELDS.index("time_lag")] > _RADAR_PERIOD
    axes.scatter(points[older, 1], points[older, 0], s=2.5, color=RADAR_COLOUR, alpha=0.35, linewidths=0, zorder=1.5)
    points = points[~older]
    x, y = points[:, 0], points[:, 1]
    velocity = points[:, [RADAR_FIELDS.index("vx_comp"), RADAR_FIELDS.index("vy_comp")]]
    axes.scatter(y, x, s=7, marker="D", facecolors="none", edgecolors=RADAR_COLOUR, linewidths=0.7, zorder=1.6)
    moving = np.hypot(velocity[:, 0], velocity[:, 1]) > _SLOWEST_ARROW
    axes.quiver(
        y[moving], x[moving], velocity[moving, 1], velocity[moving, 0],
        angles="xy", scale_units="xy", scale=1, units="dots", width=1.1, headwidth=4, headlength=5, headaxislength=4.5,
        color=RADAR_COLOUR, zorder=3,
    )  # fmt: skip


def _draw_truth(axes: Axes, boxes: Float[Tensor, "box 9"], edges: list[Any], faces: list[Any]) -> None:
    polygons = footprints(boxes)[..., ::-1]
    axes.add_collection(PolyCollection(list(polygons), facecolors=faces, edgecolors=edges, linewidths=0.7, zorder=2))
    ticks = heading_ticks(boxes)[..., ::-1]
    axes.add_collection(LineCollection(list(ticks), colors=edges, linewidths=0.9, zorder=2))


def _draw_detections(axes: Axes, detections: Detections, classes: Sequence[str]) -> None:
    boxes, scores, class_index = (part.detach().cpu() for part in detections)
    order = scores.argsort()  # the surest on top
    boxes, scores, class_index = boxes[order], scores[order], class_index[order]
    certainty = scores.clamp(0, 1).tolist()
    colours = class_rgba(class_index, classes, [0.25 + 0.75 * s for s in certainty])
    widths = [0.8 + 1.4 * s for s in certainty]
    polygons = footprints(boxes)[..., ::-1]
    axes.add_collection(
        PolyCollection(list(polygons), facecolors="none", edgecolors=colours, linewidths=widths, zorder=5)
    )
    axes.add_collection(
        LineCollection(list(heading_ticks(boxes)[..., ::-1]), colors=colours, linewidths=widths, zorder=5)
    )
