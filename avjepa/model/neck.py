"""The dense convolutions between a backbone's BEV map and the heads, trained with the heads."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.bundle.rebuildable import Rebuildable
from avjepa.encoders.blocks import Upsampling
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid


def _block(in_channels: int, channels: int, layers: int, stride: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in range(layers):
        first = layer == 0
        convolution = nn.Conv2d(
            in_channels if first else channels, channels, 3, stride if first else 1, padding=1, bias=False
        )
        modules += [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules)


def _transposed(in_channels: int, channels: int, factor: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(in_channels, channels, factor, stride=factor, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _interpolated(in_channels: int, channels: int, factor: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 1, bias=False)
    resize = [nn.Upsample(scale_factor=factor, mode="bilinear")] if factor > 1 else []
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), *resize)


class Neck(Rebuildable, ABC):
    """Dense layers that are trained with the heads.

    Attributes:
        out_channels: channels of the map that the heads read.
        grid: of that map.
    """

    out_channels: int
    grid: BEVGrid

    @abstractmethod
    def forward(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch out y2 x2"]:
        """The map that the heads read."""


class NeckOptions(ABC):
    """Everything about a neck but the map that it reads. Constructor arguments are YAML keys."""

    @abstractmethod
    def build(self, channels: int, grid: BEVGrid) -> Neck:
        """The neck for a map of so many channels on a grid, with new weights."""


@dataclass(frozen=True)
class SecondFPNOptions(NeckOptions):
    """Options of a ``SecondFPN``.

    Args:
        channels: width of each scale; the first keeps the resolution, each further one halves it.
        layers: 3×3 convolutions of each scale.
        out_channels: channels of the result, shared out evenly over the scales.
        upsampling: how the coarser scales get their resolution back.
    """

    channels: tuple[int, ...] = (64, 128)
    layers: int = 3
    out_channels: int = 128
    upsampling: Upsampling = "transposed"

    def __post_init__(self) -> None:
        if not self.channels or min(*self.channels, self.layers, self.out_channels) < 1:
            raise UserError(
                f"SecondFPNOptions: channels {list(self.channels)}, layers {self.layers} and out_channels "
                f"{self.out_channels} must be at least 1"
            )
        if self.out_channels % len(self.channels):
            raise UserError(
                f"SecondFPNOptions: out_channels {self.out_channels} is not a multiple of {len(self.channels)} scales"
            )

    def build(self, channels: int, grid: BEVGrid) -> "SecondFPN":
        """See ``NeckOptions.build``."""
        return SecondFPN(channels, grid, self)


class SecondFPN(Neck):
    """SECOND's 2-D network (Yan et al. 2018, section 3.1.3): scales of half resolution each, brought back and joined.

    Args:
        in_channels: channels of the backbone's map.
        grid: of that map, and of the result.
        options: widths and depth.
    """

    def __init__(self, in_channels: int, grid: BEVGrid, options: SecondFPNOptions) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.grid = in_channels, options.out_channels, grid
        channels, layers, out_channels = options.channels, options.layers, options.out_channels
        share = out_channels // len(channels)
        inputs = (in_channels, *channels[:-1])
        self.scales = nn.ModuleList(
            _block(before, width, layers, stride=1 if index == 0 else 2)
            for index, (before, width) in enumerate(zip(inputs, channels, strict=True))
        )
        lateral = _interpolated if options.upsampling == "bilinear" else _transposed
        self.laterals = nn.ModuleList(lateral(width, share, 2**index) for index, width in enumerate(channels))

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch out y x"]:
        """A map on the same grid."""
        rows, columns = features.shape[-2:]
        joined = []
        for scale, lateral in zip(self.scales, self.laterals, strict=True):
            features = scale(features)
            # a halved odd side comes back one cell too long
            joined.append(lateral(features)[..., :rows, :columns])
        return torch.cat(joined, dim=1)
