"""Several feature maps -> one."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Top-down pathway of a feature pyramid network (1612.03144), down to its finest map alone.

    Args:
        in_channels: channels of the maps, shallow to deep.
        out_channels: channels of the result.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, out_channels, 1) for channels in in_channels)
        self.smooth = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, maps: Sequence[Float[Tensor, "image _ _ _"]]) -> Float[Tensor, "image channel row column"]:
        """One map at the stride of the first of ``maps``; each map is at most as fine as the one before."""
        *finer, coarsest = [lateral(values) for lateral, values in zip(self.laterals, maps, strict=True)]
        merged: Tensor = coarsest
        for lateral in reversed(finer):
            if merged.shape[-2:] != lateral.shape[-2:]:
                merged = nn.functional.interpolate(merged, size=lateral.shape[-2:], mode="nearest")
            merged = merged + lateral
        smooth: Tensor = self.smooth(merged)
        return smooth
