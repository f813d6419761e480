"""The dense convolutions between a backbone's BEV map and the heads, trained with the heads."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def _block(in_channels: int, channels: int, layers: int, stride: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in range(layers):
        first = layer == 0
        convolution = nn.Conv2d(
            in_channels if first else channels, channels, 3, stride if first else 1, padding=1, bias=False
        )
        modules += [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


class SecondFPN(nn.Module):
    """SECOND's 2-D network (Yan et al. 2018, section 3.1.3): scales of half resolution each, brought back and joined.

    Args:
        in_channels: channels of the backbone's map.
        channels: width of each scale; the first keeps the resolution, each further one halves it.
        layers: 3×3 convolutions of each scale.
        out_channels: channels of the result, shared out evenly over the scales.
    """

    def __init__(
        self, in_channels: int, channels: tuple[int, ...] = (64, 128), layers: int = 3, out_channels: int = 128
    ) -> None:
        super().__init__()
        if out_channels % len(channels):
            raise ValueError(f"SecondFPN: out_channels {out_channels} is not a multiple of {len(channels)} scales")
        self.in_channels, self.out_channels = in_channels, out_channels
        share = out_channels // len(channels)
        inputs = (in_channels, *channels[:-1])
        self.scales = nn.ModuleList(
            _block(before, width, layers, stride=1 if index == 0 else 2)
            for index, (before, width) in enumerate(zip(inputs, channels, strict=True))
        )
        self.laterals = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(width, share, 2**index, stride=2**index, bias=False),
                nn.BatchNorm2d(share),
                nn.ReLU(inplace=True),
            )
            for index, width in enumerate(channels)
        )

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch out y x"]:
        """A map on the same grid."""
        rows, columns = features.shape[-2:]
        joined = []
        for scale, lateral in zip(self.scales, self.laterals, strict=True):
            features = scale(features)
            # a halved odd side comes back one cell too long
            joined.append(lateral(features)[..., :rows, :columns])
        return torch.cat(joined, dim=1)
