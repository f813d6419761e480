"""Between the common grid of a fused map and the grid of one branch, whose cells are larger or smaller by a factor."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid


@dataclass(frozen=True)
class GridLink:
    """How cells of a branch lie in those of the common grid. One of the two factors is 1."""

    cells_per_side: int
    """Cells of the branch along a side of a common cell."""
    common_per_side: int
    """Common cells along a side of a cell of the branch."""

    def to_common(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y2 x2"]:
        """The branch's map in common cells: the mean of smaller cells, a copy of larger ones."""
        if self.cells_per_side > 1:
            return functional.avg_pool2d(features, self.cells_per_side)
        return _repeated(features, self.common_per_side)

    def any_in_common(self, cells: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y2 x2"]:
        """The common cells that hold, or lie in, one of these cells of the branch."""
        return (
            _pooled(cells, self.cells_per_side) if self.cells_per_side > 1 else _repeated(cells, self.common_per_side)
        )

    def within(self, common: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y2 x2"]:
        """The branch's cells that lie wholly in these cells of the common grid."""
        if self.common_per_side > 1:
            return ~_pooled(~common, self.common_per_side)
        return _repeated(common, self.cells_per_side)


def link_of(common: BEVGrid, branch: BEVGrid, name: str) -> GridLink:
    """The link of two grids over the same rectangle.

    Raises:
        UserError: they are not over the same rectangle, or one's cells are no whole number of the other's.
    """
    finer, coarser = (round(a.shape[0] / b.shape[0]) for a, b in ((branch, common), (common, branch)))
    if finer > 1 and _equal(branch, common.refined(finer)):
        return GridLink(finer, 1)
    if coarser >= 1 and _equal(common, branch.refined(coarser)):
        return GridLink(1, coarser)
    raise UserError(
        f"FusedBackbone: the grid of {name}, {branch}, does not nest in the common one, {common}; both need the same "
        "edges, and cells whose sides differ by a whole factor"
    )


def _equal(one: BEVGrid, other: BEVGrid) -> bool:
    edges = zip(
        (one.x_min, one.x_max, one.y_min, one.y_max), (other.x_min, other.x_max, other.y_min, other.y_max), strict=True
    )
    return one.shape == other.shape and all(abs(a - b) < 1e-4 for a, b in edges)


def _repeated(cells: Tensor, factor: int) -> Tensor:
    return cells if factor == 1 else cells.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _pooled(cells: Bool[Tensor, "batch y x"], factor: int) -> Bool[Tensor, "batch y2 x2"]:
    return functional.max_pool2d(cells.to(torch.float32)[:, None], factor)[:, 0] > 0
