"""What the sensors gave of one object at one moment: a crop of a camera image, and a patch seen from above."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Polygon
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.sample import CameraImages, Sample
from avjepa.geometry.boxes import box_corners
from avjepa.geometry.transforms import apply, inverse
from avjepa.report.bev import HEIGHT_COLOURS, HEIGHT_RANGE, RADAR_COLOUR, footprints, heading_ticks
from avjepa.report.cameras import NEAR_PLANE, projected_edges
from avjepa.report.style import CANVAS, CANVAS_INK, CANVAS_RULE, picture

REACH = 8.0
"""Metres that a patch reaches from the middle of the object, at least."""
_MARGIN = 1.5
"""Side of a crop, in sides of the square that holds the object."""
_SMALLEST_CROP = 0.1  # of the image's width: a distant object needs its surroundings to be known
_LEAST_VISIBLE = 0.3  # of the rectangle around the object's corners


@dataclass(frozen=True)
class Crop:
    """A square of a camera image with an object in the middle; black beyond the image."""

    image: UInt8[Array, "side side 3"]
    edges: Float[Array, "segment 2 2"]
    """Of the object's box, in pixels of the crop (right, down)."""
    camera: str
    """Channel."""


@dataclass(frozen=True)
class Patch:
    """The surroundings of an object from above, in the BEV frame of the moment: x forward, y left (m)."""

    points: Float[Array, "point 3"]
    sensor: str
    """``lidar``, ``radar``, or empty where neither gave anything."""
    outline: Float[Array, "4 2"]
    heading: Float[Array, "2 2"]
    centre: tuple[float, float]
    reach: float
    """From the centre to each side."""


@dataclass(frozen=True)
class ObjectView:
    """An object at a moment.

    Attributes:
        crop: of the camera in which most of it is seen; ``None`` where no camera sees enough of it.
        patch: from above.
    """

    crop: Crop | None
    patch: Patch


def object_view(sample: Sample, box: Float[Tensor, "9"]) -> ObjectView:
    """Take an object out of a sample.

    Args:
        sample: with whatever sensors it has.
        box: of the object, in the sample's BEV frame.
    """
    crop = None if sample.cameras is None else _crop(sample.cameras, box)
    return ObjectView(crop, _patch(sample, box))


def _crop(cameras: CameraImages, box: Float[Tensor, "9"]) -> Crop | None:
    """Of the camera that sees the largest share of the object, in the largest number of pixels."""
    corners = box_corners(box[None].double())[0]
    best, found = (0.0, 0.0), None
    height, width = cameras.images.shape[-2:]
    for camera in range(len(cameras.channels)):
        seen = apply(inverse(cameras.bev_from_camera[camera].double()), corners) @ cameras.intrinsics[camera].double().T
        if bool((seen[:, 2] <= NEAR_PLANE).any()):
            continue
        pixels = seen[:, :2] / seen[:, 2:]
        low, high = pixels.amin(0), pixels.amax(0)
        limits = pixels.new_tensor([width, height])
        inside = (torch.minimum(high, limits) - low.clamp(min=0)).clamp(min=0)
        share, area = float(inside.prod() / (high - low).prod()), float(inside.prod())
        if share >= _LEAST_VISIBLE and (round(share, 1), area) > best:
            best, found = (round(share, 1), area), (camera, low, high)
    if found is None:
        return None
    camera, low, high = found
    side = round(max(_SMALLEST_CROP * width, _MARGIN * float((high - low).max())))
    left, top = ((low + high - side) / 2).round().int().tolist()
    image = np.zeros((side, side, 3), np.uint8)
    rows, columns = slice(max(0, top), min(height, top + side)), slice(max(0, left), min(width, left + side))
    part = cameras.images[camera][:, rows, columns].permute(1, 2, 0).cpu().numpy()
    image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    edges = projected_edges(
        box[None], cameras.bev_from_camera[camera], cameras.intrinsics[camera], int(width), int(height)
    )
    return Crop(image, edges.ends.numpy() - np.array([left, top], np.float32), cameras.channels[camera])


def _patch(sample: Sample, box: Float[Tensor, "9"]) -> Patch:
    x, y = box[:2].tolist()
    reach = max(REACH, 0.8 * float(box[3]))
    cloud = sample.lidar if sample.lidar is not None else sample.radar
    points = torch.zeros(0, 3) if cloud is None else cloud[:, :3].cpu()
    near = ((points[:, :2] - points.new_tensor([x, y])).abs() <= reach).all(1)
    sensor = "" if cloud is None else "radar" if sample.lidar is None else "lidar"
    outline, heading = footprints(box[None])[0], heading_ticks(box[None])[0]
    return Patch(points[near].numpy(), sensor, outline, heading, (x, y), reach)


@picture
def draw_crop(axes: Axes, crop: Crop, colour: str) -> None:
    """Draw a crop with the outline of the box."""
    side = len(crop.image)
    axes.imshow(crop.image, extent=(0, side, side, 0), interpolation="bilinear")
    axes.add_collection(LineCollection(list(crop.edges), colors=colour, linewidths=1.1, alpha=0.9), autolim=False)
    axes.set(xlim=(0, side), ylim=(side, 0))
    _without_ticks(axes)


@picture
def draw_patch(axes: Axes, patch: Patch, colour: str, expected: tuple[float, float, float] | None = None) -> None:
    """Draw a patch with the outline of the box, forward up and left on the left.

    Args:
        axes: where to draw.
        patch: what to draw.
        colour: of the outline.
        expected: where the object was expected (x, y) and the standard deviation of that, in metres: a cross and a
            circle.
    """
    x, y = patch.centre
    points = patch.points[patch.points[:, 2].argsort()]
    size = 72 * axes.bbox.width / axes.figure.dpi / (2 * patch.reach)  # points per metre
    if patch.sensor == "lidar":
        axes.scatter(
            points[:, 1], points[:, 0], c=points[:, 2], s=float(np.clip(0.14 * size, 0.8, 2.2)) ** 2, linewidths=0,
            cmap=HEIGHT_COLOURS, norm=Normalize(*HEIGHT_RANGE), zorder=1,
        )  # fmt: skip
    else:
        axes.scatter(points[:, 1], points[:, 0], s=14, marker="D", color=RADAR_COLOUR, linewidths=0, zorder=1)
    axes.add_patch(Polygon(patch.outline[:, ::-1], fill=False, edgecolor=colour, linewidth=1.4, zorder=3))
    axes.plot(patch.heading[:, 1], patch.heading[:, 0], color=colour, linewidth=1.2, zorder=3)
    if expected is not None:
        angle = np.linspace(0, 2 * np.pi, 73)
        circle = expected[1] + expected[2] * np.sin(angle), expected[0] + expected[2] * np.cos(angle)
        axes.plot(*circle, color=CANVAS_INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=4)
        axes.plot(expected[1], expected[0], marker="x", color=CANVAS_INK, markersize=6, zorder=4)
    axes.set(xlim=(y + patch.reach, y - patch.reach), ylim=(x - patch.reach, x + patch.reach), aspect="equal")
    axes.set_facecolor(CANVAS)
    axes.plot([0.04, 0.04 + 2.5 / patch.reach], [0.04, 0.04], transform=axes.transAxes, color=CANVAS_INK, linewidth=1.4)
    axes.text(0.04, 0.06, "5 m", transform=axes.transAxes, fontsize=6.5, va="bottom")
    _without_ticks(axes)


def _without_ticks(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set(xlabel="", ylabel="")
    for spine in axes.spines.values():
        spine.set(visible=True, color=CANVAS_RULE)
