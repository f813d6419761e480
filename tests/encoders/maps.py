"""Every cell's features, for comparison."""

import torch
from torch import Tensor

from avjepa.encoders.base import BEVMap


def maps_of(result: BEVMap) -> list[Tensor]:
    """The intermediate features of every cell, (batch, channel, y, x)."""
    cells = torch.arange(result.observed.numel())
    rows = (level.at(cells) for level in result.intermediate_features)
    return [level.unflatten(0, result.observed.shape).permute(0, 3, 1, 2) for level in rows]
