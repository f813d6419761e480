"""Pieces of a BEV map under boxes, turned so that every box points the same way."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from avjepa.geometry.grid import BEVGrid


def box_crops(
    bev: Float[Tensor, "batch channel y x"],
    boxes: Sequence[Float[Tensor, "_ 9"]],
    grid: BEVGrid,
    points: int,
    margin: float,
) -> Float[Tensor, "box channel points points"]:
    """The map at a lattice of points over every box, interpolated; 0 beyond the map.

    Args:
        bev: maps.
        boxes: of every sample, in its BEV frame, on the CPU.
        grid: of the maps.
        points: of the lattice, along each side.
        margin: metres that the lattice reaches beyond the box on every side.

    Returns:
        Crops of all samples' boxes one after the other. Rows run from the right of the box to its left, columns from
        its rear to its front.
    """
    most = max((len(one) for one in boxes), default=0)
    if not most:
        return bev.float().flatten()[:0].view(0, bev.shape[1], points, points)  # its gradient is 0, not absent
    # every sample is read as if it had the most boxes, so that one call reads all
    padded = torch.stack([F.pad(one.float(), (0, 0, 0, most - len(one))) for one in boxes])
    places = grid.normalised(lattice(padded.view(-1, 9), points, margin))
    places = places.view(len(boxes), most * points, points, 2).to(bev.device, non_blocking=True)
    read = F.grid_sample(bev.float(), places, align_corners=False)
    read = read.view(len(boxes), bev.shape[1], most, points, points).transpose(1, 2)
    return torch.cat([of_sample[: len(one)] for of_sample, one in zip(read, boxes, strict=True)])


def lattice(boxes: Float[Tensor, "box 9"], points: int, margin: float) -> Float[Tensor, "box points points 2"]:
    """(x, y) of a square number of points spread evenly over each box and its margin; the outermost lie on the rim."""
    steps = torch.linspace(-0.5, 0.5, points, dtype=boxes.dtype) if points > 1 else boxes.new_zeros(1)
    along = steps * (boxes[:, 3, None] + 2 * margin)
    across = steps * (boxes[:, 4, None] + 2 * margin)
    cos, sin = boxes[:, 6].cos()[:, None, None], boxes[:, 6].sin()[:, None, None]
    x = cos * along[:, None, :] - sin * across[:, :, None]
    y = sin * along[:, None, :] + cos * across[:, :, None]
    return torch.stack((x, y), dim=-1) + boxes[:, None, None, :2]
