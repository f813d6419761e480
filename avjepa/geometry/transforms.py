"""Rigid transforms as 4×4 tensors, named ``dst_from_src``."""

import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.geometry.device import constant


def rotation_from_quaternion(wxyz: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of quaternions (w, x, y, z), which need not have unit length."""
    w, x, y, z = (wxyz / wxyz.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(*wxyz.shape[:-1], 3, 3)


def transform_from(
    wxyz: Float[Tensor, "*batch 4"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """``dst_from_src`` of a pose given as nuScenes gives it: the rotation and origin of ``src`` in ``dst``."""
    rotation = rotation_from_quaternion(wxyz)
    top = torch.cat((rotation, translation[..., None]), dim=-1)
    bottom = constant((0.0, 0.0, 0.0, 1.0), top.dtype, top.device).expand(*top.shape[:-2], 1, 4)
    return torch.cat((top, bottom), dim=-2)


def inverse(dst_from_src: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """``src_from_dst``. Works for any affine transform, so also after a flip or a scaling."""
    src_from_dst: Tensor = torch.linalg.inv(dst_from_src)
    return src_from_dst


def apply(dst_from_src: Float[Tensor, "4 4"], points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Points in ``dst`` of points in ``src``."""
    return points @ dst_from_src[:3, :3].T + dst_from_src[:3, 3]


def rotate(dst_from_src: Float[Tensor, "4 4"], vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Directions or velocities in ``dst`` of those in ``src`` (no translation)."""
    return vectors @ dst_from_src[:3, :3].T
