"""The cells of a BEV grid that boxes stand on."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avjepa.geometry.grid import BEVGrid

_COMPARED_AT_ONCE = 1 << 21  # cells with boxes


def covered_cells(
    boxes: Float[Tensor, "box 9"], item: Int64[Tensor, "box"], items: int, grid: BEVGrid
) -> Bool[Tensor, "item y x"]:
    """Cells whose centre lies in a box or on its edge, seen from above.

    Args:
        boxes: columns ``geometry.boxes.BOX_FIELDS``.
        item: map that each box is drawn into.
        items: number of maps.
        grid: of the maps.
    """
    covered = torch.zeros(items, *grid.shape, dtype=torch.bool, device=boxes.device)
    if not len(boxes):
        return covered
    # every box is compared with a square of cells about its centre, as large as the largest box needs
    reach = int(min((boxes[:, 3:5].norm(dim=1).max() / (2 * grid.cell)).item() + 2, max(grid.shape)))
    at_once = max(1, _COMPARED_AT_ONCE // (2 * reach + 1) ** 2)
    step = torch.arange(-reach, reach + 1, device=boxes.device)
    for first in range(0, len(boxes), at_once):
        _cover(covered, boxes[first : first + at_once], item[first : first + at_once], grid, step)
    return covered


def _cover(
    covered: Bool[Tensor, "item y x"],
    boxes: Float[Tensor, "box 9"],
    item: Int64[Tensor, "box"],
    grid: BEVGrid,
    step: Int64[Tensor, "side"],
) -> None:
    rows, columns = grid.shape
    row = torch.floor((boxes[:, 1] - grid.y_min) / grid.cell).long()[:, None, None] + step[:, None]
    column = torch.floor((boxes[:, 0] - grid.x_min) / grid.cell).long()[:, None, None] + step
    x = grid.x_min + (column + 0.5) * grid.cell - boxes[:, 0, None, None]
    y = grid.y_min + (row + 0.5) * grid.cell - boxes[:, 1, None, None]
    cos, sin = boxes[:, 6].cos()[:, None, None], boxes[:, 6].sin()[:, None, None]
    along, across = (cos * x + sin * y).abs(), (cos * y - sin * x).abs()
    inside = (along <= boxes[:, 3, None, None] / 2) & (across <= boxes[:, 4, None, None] / 2)
    inside &= (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    box, down, right = inside.nonzero().unbind(1)
    covered[item[box], row[box, down, 0], column[box, 0, right]] = True
