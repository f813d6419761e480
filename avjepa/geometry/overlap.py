"""Which upright boxes overlap seen from above."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def overlapping_from_above(one: Float[Tensor, "one 9"], other: Float[Tensor, "other 9"]) -> Bool[Tensor, "one other"]:
    """Whether the rectangles of two sets of boxes (``BOX_FIELDS``) share an area in the xy plane.

    Two rectangles are apart exactly if they are along one of their four edge directions (separating axis theorem);
    rectangles that only touch are apart.
    """
    offset = other[None, :, :2] - one[:, None, :2]
    turn = other[None, :, 6] - one[:, None, 6]
    cos, sin = turn.cos().abs(), turn.sin().abs()
    one_half, other_half = one[:, None, 3:5] / 2, other[None, :, 3:5] / 2
    result = torch.ones(len(one), len(other), dtype=torch.bool, device=one.device)
    for yaw, mine, theirs in ((one[:, None, 6], one_half, other_half), (other[None, :, 6], other_half, one_half)):
        along = (offset[..., 0] * yaw.cos() + offset[..., 1] * yaw.sin()).abs()
        across = (offset[..., 1] * yaw.cos() - offset[..., 0] * yaw.sin()).abs()
        result &= along < mine[..., 0] + theirs[..., 0] * cos + theirs[..., 1] * sin
        result &= across < mine[..., 1] + theirs[..., 0] * sin + theirs[..., 1] * cos
    return result
