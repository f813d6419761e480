"""What the tokens of all sensors that give points have in common."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from avjepa.data.sample import Points
from avjepa.encoders.base import Tokens
from avjepa.geometry.grid import BEVGrid

OfPoints = TypeVar("OfPoints", bound="PointTokens")


@dataclass(frozen=True)
class PointTokens(Tokens):
    """Points, each in one cell of the token grid."""

    points: Points
    seeds: Int64[Tensor, "batch"]
    """Of every sample, on the CPU."""
    kept: Bool[Tensor, "point"]
    """Whether a point lies in the grid and was not dropped."""
    token_grid: BEVGrid
    remembered: Bool[Tensor, "point"] | None = field(default=None, kw_only=True)
    """Points that stay readable in hidden cells; ``None`` for none."""
    fields: ClassVar[tuple[str, ...]]
    """Columns of ``points.features``."""

    @property
    @abstractmethod
    def cell(self) -> Int64[Tensor, "point"]:
        """Position of every point's cell in the flattened (batch, y, x) token grid."""

    @cached_property
    def observed(self) -> Bool[Tensor, "batch y x"]:  # type: ignore[override]
        """The cells into which a point falls that was kept."""
        shape = (self.points.batch_size, *self.token_grid.shape)
        count = shape[0] * shape[1] * shape[2]
        # the points left out mark one cell more, which is cut off
        occupied = self.kept.new_zeros(count + 1).index_fill_(0, torch.where(self.kept, self.cell, count), True)
        return occupied[:count].view(shape)

    def visible(self, masked: Bool[Tensor, "batch y x"] | None) -> Int64[Tensor, "visible"]:
        """The points that were kept and do not lie in a masked cell, or are remembered, ascending."""
        if masked is None:
            return self.kept.nonzero()[:, 0]
        readable = ~masked.flatten()[self.cell]
        if self.remembered is not None:
            readable = readable | self.remembered
        return (self.kept & readable).nonzero()[:, 0]

    def recalling(self: OfPoints, seconds: float) -> OfPoints:
        """See ``Tokens.recalling``."""
        age = self.points.features[:, self.fields.index("time_lag")]
        return replace(self, remembered=age > seconds)
