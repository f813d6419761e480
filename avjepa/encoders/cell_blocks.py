"""Blocks of dense networks whose normalisation mixes no cells, samples or processes."""

from jaxtyping import Float
from torch import Tensor, nn


class CellNorm(nn.LayerNorm):
    """Layer normalisation over the channels of every cell: no statistics that mix cells, samples or processes."""

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """The normalised map."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PreNormBlock(nn.Module):
    """A dilated 3×3 convolution between cells and a 1×1 one within, normalised ahead (1603.05027)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            CellNorm(width),
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
            nn.GELU(),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """The map plus its refinement."""
        refined: Tensor = self.body(features)
        return features + refined
