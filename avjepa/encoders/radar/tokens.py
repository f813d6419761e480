"""The returns of a batch, and the cell that each of them falls into."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from avjepa.data.sample import Points
from avjepa.encoders.base import Tokens
from avjepa.geometry.device import occurrences
from avjepa.geometry.grid import BEVGrid

_THINNING_STREAM = 0x7261646172  # keeps these draws apart from the masks, which use the same seeds


@dataclass(frozen=True)
class RadarTokens(Tokens):
    """Returns in the cells of the token grid."""

    points: Points
    seeds: Int64[Tensor, "batch"]
    """Of every sample, on the CPU."""
    cell: Int64[Tensor, "point"]
    """Position of every return's cell in the flattened (batch, y, x) grid."""
    kept: Bool[Tensor, "point"]
    """Whether a return lies in the grid and was not dropped."""
    token_grid: BEVGrid

    @cached_property
    def observed(self) -> Bool[Tensor, "batch y x"]:  # type: ignore[override]
        """The cells into which a return falls that was kept."""
        shape = (self.points.batch_size, *self.token_grid.shape)
        count = shape[0] * shape[1] * shape[2]
        # the returns left out mark one cell more, which is cut off
        occupied = self.kept.new_zeros(count + 1).index_fill_(0, torch.where(self.kept, self.cell, count), True)
        return occupied[:count].view(shape)

    def where(self, stays: Bool[Tensor, "point"]) -> "RadarTokens":
        """Without the returns for which ``stays`` is false."""
        return replace(self, kept=self.kept & stays)

    def without(self, share: float) -> "RadarTokens":
        """See ``Tokens.without``. Returns are dropped one by one."""
        counts = occurrences(self.points.batch_index, self.points.batch_size).tolist()
        stays = [
            torch.rand(count, generator=torch.Generator().manual_seed((seed ^ _THINNING_STREAM) % 2**63)) >= share
            for seed, count in zip(self.seeds.tolist(), counts, strict=True)
        ]
        return self.where(torch.cat(stays).to(self.kept.device, non_blocking=True))
