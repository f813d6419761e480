"""The six cameras of a moment, with boxes drawn into their images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from avjepa.data.sample import CameraImages, Sample
from avjepa.geometry.boxes import box_corners
from avjepa.geometry.transforms import apply, inverse
from avjepa.report.bev import Detections, class_rgba
from avjepa.report.style import CLASSES, picture

MOSAIC = (
    ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"),
    ("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"),
)
"""Where each camera of nuScenes stands in the mosaic."""

_RING = {
    "CAM_FRONT": (0.28, 0),
    "CAM_FRONT_LEFT": (0.0, 1),
    "CAM_FRONT_RIGHT": (0.505, 1),
    "CAM_BACK_LEFT": (0.0, 2),
    "CAM_BACK_RIGHT": (0.505, 2),
    "CAM_BACK": (0.28, 3),
}
"""Left edge and row of each camera when they stand around the ego, forward up."""

NEAR_PLANE = 0.1
"""Metres before the camera at which edges are cut: nearer points have no meaningful projection."""

_BOX_EDGES = (
    (0, 1), (1, 2), (2, 3), (3, 0),
    (4, 5), (5, 6), (6, 7), (7, 4),
    (0, 4), (1, 5), (2, 6), (3, 7),
    (8, 9),
)  # fmt: skip
"""Corners as ``box_corners`` orders them; 8 is the middle of the bottom, 9 the middle of the front's lower edge."""


def mosaic(cameras: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Rows of three cameras: where those of nuScenes stand, or any others in their order."""
    if set(cameras) <= {channel for row in MOSAIC for channel in row}:
        return MOSAIC
    return tuple(tuple(cameras[first : first + 3]) for first in range(0, len(cameras), 3))


@dataclass(frozen=True)
class ProjectedEdges:
    """The visible parts of box edges in one image."""

    ends: Float[Tensor, "segment 2 2"]
    """Both ends of every segment in pixels (u right, v down), all inside the image."""
    box: Int64[Tensor, "segment"]
    """Which box a segment belongs to."""


def projected_edges(
    boxes: Float[Tensor, "box 9"],
    bev_from_camera: Float[Tensor, "4 4"],
    intrinsics: Float[Tensor, "3 3"],
    width: int,
    height: int,
) -> ProjectedEdges:
    """Project the twelve edges of every box, and a line along its heading on the bottom face, into an image.

    Edges are clipped in homogeneous pixel coordinates (u·z, v·z, z) against the near plane and the four sides of the
    image, where every boundary is a plane (Liang and Barsky, 1984): nothing behind the camera wraps around into view.

    Args:
        boxes: in the BEV frame.
        bev_from_camera: pose of the camera in the BEV frame.
        intrinsics: pixels from the camera frame.
        width: of the image in pixels.
        height: of the image in pixels.
    """
    boxes = boxes.detach().double().cpu()
    corners = box_corners(boxes)
    bottom = corners[:, [1, 2, 5, 6]].mean(1, keepdim=True)
    front = corners[:, [1, 2]].mean(1, keepdim=True)
    nodes = apply(inverse(bev_from_camera.double().cpu()), torch.cat((corners, bottom, front), dim=1))
    homogeneous = nodes @ intrinsics.double().cpu().T
    ends = homogeneous[:, torch.tensor(_BOX_EDGES)].flatten(0, 1)
    box = torch.arange(len(boxes)).repeat_interleave(len(_BOX_EDGES))

    u, v, z = ends.unbind(-1)
    distance = torch.stack((z - NEAR_PLANE, u, width * z - u, v, height * z - v), dim=-1)  # inside where >= 0
    start, end = distance[:, 0], distance[:, 1]
    crossing = start / (start - end)  # not finite only for an edge parallel to the plane, which no case below reads
    entering = torch.where((start < 0) & (end >= 0), crossing, 0.0).amax(-1)
    leaving = torch.where((start >= 0) & (end < 0), crossing, 1.0).amin(-1)
    visible = ((start >= 0) | (end >= 0)).all(-1) & (entering < leaving)

    parameters = torch.stack((entering, leaving), dim=-1)[visible][..., None]
    first, second = ends[visible, :1], ends[visible, 1:]
    clipped = first + parameters * (second - first)
    return ProjectedEdges((clipped[..., :2] / clipped[..., 2:]).float(), box[visible])


@picture
def draw_camera(
    axes: Axes,
    cameras: CameraImages,
    camera: int,
    sample: Sample,
    detections: Detections | None = None,
    classes: Sequence[str] = CLASSES,
) -> None:
    """Draw one image with the sample's ground truth (thin) and predictions (bold) in the colours of their classes."""
    image = cameras.images[camera].permute(1, 2, 0).cpu().numpy()
    height, width = image.shape[:2]
    axes.imshow(image, extent=(0, width, height, 0), interpolation="antialiased")  # pixel i covers [i, i + 1)
    axes.set_axis_off()
    name = cameras.channels[camera].removeprefix("CAM_").replace("_", " ").lower()
    axes.text(
        0.012, 0.97, name, transform=axes.transAxes, va="top", fontsize=8, color="white",
        bbox={"facecolor": "black", "alpha": 0.5, "edgecolor": "none", "boxstyle": "round,pad=0.25"},
    )  # fmt: skip

    def draw(boxes: Tensor, class_index: Tensor, alpha: list[float], line: float, style: str) -> None:
        edges = projected_edges(boxes, cameras.bev_from_camera[camera], cameras.intrinsics[camera], width, height)
        colours = class_rgba(class_index[edges.box], classes, [alpha[i] for i in edges.box.tolist()])
        axes.add_collection(
            LineCollection(list(np.asarray(edges.ends)), colors=colours, linewidths=line, linestyles=style),
            autolim=False,
        )

    if sample.labels is not None:
        seen = (sample.labels.lidar_points + sample.labels.radar_points) > 0
        strength = 0.95 if detections is None else 0.7
        alpha = torch.where(seen, strength, 0.35).tolist()
        draw(sample.labels.boxes, sample.labels.class_index, alpha, 0.9, "solid" if detections is None else "dotted")
    if detections is not None:
        alpha = (0.3 + 0.7 * detections[1].clamp(0, 1)).tolist()
        draw(detections[0], detections[2], alpha, 1.2, "solid")


@picture
def draw_camera_ring(axes: Axes, sample: Sample) -> None:
    """Draw the images, without boxes, where the cameras look: the front camera on top, the left ones on the left."""
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    if sample.cameras is None:
        return
    for channel, image in zip(sample.cameras.channels, sample.cameras.images, strict=True):
        if channel in _RING:
            left, row = _RING[channel]
            inset = axes.inset_axes((left, 0.752 - 0.25 * row, 0.44 if left == 0.28 else 0.495, 0.246))
            inset.imshow(image.permute(1, 2, 0).cpu().numpy(), interpolation="antialiased")
            inset.set_axis_off()
