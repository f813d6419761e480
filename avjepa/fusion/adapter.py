"""What brings a branch's map into the space in which maps are fused."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.encoders.cell_blocks import CellNorm, PreNormBlock


class Adapter(nn.Module):
    """A linear layer in every cell, residual blocks, and a norm, after which all sensors' maps are of one size.

    The norms are per cell: a batch in which some samples lack the sensor changes nothing for the others.

    Args:
        in_channels: of the branch's map; whether its sensor observed a cell is one channel more.
        channels: of the fused map.
        blocks: number of residual blocks.
    """

    def __init__(self, in_channels: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Linear(in_channels + 1, channels)
        self.blocks = nn.Sequential(*(PreNormBlock(channels, dilation=1) for _ in range(blocks)))
        self.norm = CellNorm(channels)

    def forward(
        self, features: Float[Tensor, "batch channel y x"], observed: Bool[Tensor, "batch y x"]
    ) -> Float[Tensor, "batch out y x"]:
        """The aligned map."""
        cells = torch.cat((features, observed[:, None].to(features.dtype)), dim=1).permute(0, 2, 3, 1)
        aligned: Tensor = self.norm(self.blocks(self.embed(cells).permute(0, 3, 1, 2)))
        return aligned
