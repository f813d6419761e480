"""Upright 3D boxes as rows of nine numbers."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avjepa.geometry.transforms import apply, rotate

BOX_FIELDS = ("x", "y", "z", "length", "width", "height", "yaw", "velocity_x", "velocity_y")
"""Columns of a box: centre (m), size (m; nuScenes stores width, length, height: reordered here), yaw (rad,
counter-clockwise from x), velocity (m/s). Velocity is NaN where it is unknown."""


def box_corners(boxes: Float[Tensor, "box 9"]) -> Float[Tensor, "box 8 3"]:
    """Corners: 0-3 the front face (counter-clockwise seen from ahead: left-top, left-bottom, right-bottom, right-top),
    4-7 the rear face in the same order."""
    signs = boxes.new_tensor(
        [[1, 1, 1], [1, 1, -1], [1, -1, -1], [1, -1, 1], [-1, 1, 1], [-1, 1, -1], [-1, -1, -1], [-1, -1, 1]]
    )
    local = signs * boxes[:, None, 3:6] / 2
    cos, sin = boxes[:, 6].cos()[:, None], boxes[:, 6].sin()[:, None]
    x, y, z = local.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y, z), dim=-1) + boxes[:, None, :3]


def points_in_boxes(
    points: Float[Tensor, "point 3"], boxes: Float[Tensor, "box 9"], scale: float = 1.0
) -> Bool[Tensor, "box point"]:
    """Which points lie inside or on which box; ``scale`` widens every box about its centre."""
    offset = points[None] - boxes[:, None, :3]
    cos, sin = boxes[:, 6].cos()[:, None], boxes[:, 6].sin()[:, None]
    along = cos * offset[..., 0] + sin * offset[..., 1]
    across = cos * offset[..., 1] - sin * offset[..., 0]
    half = boxes[:, None, 3:6] * (scale / 2)
    return (along.abs() <= half[..., 0]) & (across.abs() <= half[..., 1]) & (offset[..., 2].abs() <= half[..., 2])


def indices_in_boxes(points: Float[Tensor, "point 3"], boxes: Float[Tensor, "box 9"]) -> list[Int64[Tensor, "_"]]:
    """For each box, which points lie inside or on it: ``points_in_boxes`` for a large cloud, without the full product.

    Only points in the squares of a metre that some box may reach are compared with the boxes.
    """
    reach = boxes[:, 3:5].norm(dim=1, keepdim=True) / 2 + 1e-3  # the margin is for rounding
    reached = torch.zeros(2 * _FAR, 2 * _FAR, dtype=torch.bool, device=points.device)
    corners = torch.cat((_square_of(boxes[:, :2] - reach), _square_of(boxes[:, :2] + reach)), dim=1)
    for first_x, first_y, last_x, last_y in corners.tolist():
        reached[first_x : last_x + 1, first_y : last_y + 1] = True
    square = _square_of(points[:, :2])
    near = reached.view(-1)[square[:, 0] * (2 * _FAR) + square[:, 1]].nonzero()[:, 0]
    return [near[row.nonzero()[:, 0]] for row in points_in_boxes(points[near], boxes)]


_FAR = 256


def _square_of(xy: Float[Tensor, "point 2"]) -> Int64[Tensor, "point 2"]:
    """Squares of a metre around the origin; those at the rim hold whatever is further away."""
    return xy.floor().clamp(-_FAR, _FAR - 1).long() + _FAR


def transform_boxes(dst_from_src: Float[Tensor, "4 4"], boxes: Float[Tensor, "box 9"]) -> Float[Tensor, "box 9"]:
    """Boxes in ``dst`` of boxes in ``src``: centre, yaw, velocity follow, also under a flip; sizes a uniform scale.

    The heading and the velocity are rotated as vectors, so they lose whatever leaves the xy plane.
    """
    centre = apply(dst_from_src, boxes[:, :3])
    zero = torch.zeros_like(boxes[:, 0])
    heading = rotate(dst_from_src, torch.stack((boxes[:, 6].cos(), boxes[:, 6].sin(), zero), dim=-1))
    velocity = rotate(dst_from_src, torch.stack((boxes[:, 7], boxes[:, 8], zero), dim=-1))
    scale = torch.linalg.det(dst_from_src[:3, :3]).abs() ** (1 / 3)
    yaw = torch.atan2(heading[:, 1], heading[:, 0])
    return torch.cat((centre, boxes[:, 3:6] * scale, yaw[:, None], velocity[:, :2]), dim=-1)
