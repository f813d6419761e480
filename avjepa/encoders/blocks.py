"""Convolution blocks that the encoders of all sensors share."""

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avjepa.errors import UserError
from avjepa.ranges import require_numbers

Upsampling = Literal["transposed", "bilinear"]
"""How a map gets twice its resolution: by a transposed convolution, as in the neck of SECOND (Yan et al., 2018), whose
kernel gives each of four cells its own weights, or by interpolation, which treats all alike and leaves no lattice."""


class ConvNormReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; with stride 1 the map keeps its size.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: odd kernel size.
        stride: stride.
        dilation: distance between the kernel's elements in cells.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, dilation: int = 1):
        super().__init__(
            _convolution(in_channels, out_channels, kernel, stride, dilation),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """The basic block of ResNet (He et al., 2016): two 3×3 convolutions beside a shortcut.

    Args:
        channels: channels of input and output.
        dilation: dilation of both convolutions.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNormReLU(channels, channels, dilation=dilation)
        self.second = nn.Sequential(
            _convolution(channels, channels, kernel=3, stride=1, dilation=dilation), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """The input plus what the two convolutions make of it, rectified."""
        return functional.relu(x + self.second(self.first(x)))


class BEVUNet(nn.Module):
    """Residual encoder and decoder that sees whole objects and streets yet answers for every cell (U-Net, 1505.04597).

    Depth i works at 1/2^i of the resolution: a 3×3 convolution leads into it, residual blocks follow. The way up adds
    (feature pyramid networks, 1612.03144) where the U-Net concatenates.

    The output ends linear, without norm or ReLU: it is compared in latent space, where a closing ReLU would put a
    floor under the cosine distance to a signed target and a norm would stand in the way of a regulariser that shapes
    the distribution. What reads it brings its own norm.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        channels: channels at each depth.
        blocks: residual blocks at each depth.
        upsampling: on the way up.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        for depth, (width, count) in enumerate(zip(channels, blocks, strict=True)):
            entry = ConvNormReLU(channels[depth - 1] if depth else in_channels, width, stride=2 if depth else 1)
            self.down.append(nn.Sequential(entry, *(ResidualBlock(width) for _ in range(count))))
        self.up = nn.ModuleList(_upsampled(deep, shallow, upsampling) for shallow, deep in itertools.pairwise(channels))
        self.out = nn.Linear(channels[0], out_channels)  # a 1×1 convolution, faster so on the CPU
        nn.init.kaiming_normal_(self.out.weight, nonlinearity="linear")
        nn.init.zeros_(self.out.bias)

    def layer_order(self) -> list[nn.Module]:
        """See ``BEVBackbone.layer_order``: the way down, then the way up with the output."""
        return [*self.down, nn.ModuleList((self.up, self.out))]

    def forward(
        self, x: Float[Tensor, "batch input y x"]
    ) -> tuple[Float[Tensor, "batch first y x"], Float[Tensor, "batch output y x"]]:
        """The map of the first depth, before anything coarser is added, and the output."""
        maps = []
        x = x.contiguous(memory_format=torch.channels_last)  # a fifth faster on the CPU
        for stage in self.down:
            x = stage(x)
            maps.append(x)
        for shallow, upsample in zip(reversed(maps[:-1]), reversed(self.up), strict=True):
            x = upsample(x)
            rows, columns = shallow.shape[-2:]
            if x.shape[-2:] != shallow.shape[-2:]:
                x = x[..., :rows, :columns]  # an odd size comes back one cell too large
            x = functional.relu(shallow + x)
        return maps[0], self.out(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def require_depths(owner: str, bev_channels: Sequence[int], bev_blocks: Sequence[int]) -> None:
    """Raise unless these describe the depths of a ``BEVUNet``: channels and residual blocks of each.

    Args:
        owner: the class whose arguments they are, as the message calls it.
        bev_channels: at least 1 each.
        bev_blocks: as many.

    Raises:
        UserError: naming the argument.
    """
    if len(bev_channels) != len(bev_blocks) or not bev_channels:
        raise UserError(
            f"{owner}: bev_channels {list(bev_channels)} and bev_blocks {list(bev_blocks)} describe the same depths; "
            "give both the same number of entries"
        )
    require_numbers(f"{owner}.bev_channels", bev_channels, at_least=1)
    require_numbers(f"{owner}.bev_blocks", bev_blocks, at_least=0)


class SparseNorm(nn.BatchNorm1d):
    """Batch norm over rows of which there may be few or none: sparse sites, the points of a radar.

    Fewer than two rows have no variance: they are normalised with the running statistics, which then stay as they are.
    """

    def forward(self, x: Float[Tensor, "row channel"]) -> Float[Tensor, "row channel"]:
        """Normalised rows."""
        if self.training and len(x) < 2:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        normalised: Tensor = super().forward(x)
        return normalised


def _upsampled(in_channels: int, out_channels: int, upsampling: Upsampling) -> nn.Sequential:
    """Other channels at twice the resolution."""
    interpolation: list[nn.Module] = []
    if upsampling == "bilinear":
        convolution: nn.Conv2d | nn.ConvTranspose2d = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        interpolation = [nn.Upsample(scale_factor=2, mode="bilinear")]
    else:
        convolution = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)
    nn.init.normal_(convolution.weight, std=in_channels**-0.5)  # an output cell sees one element of the kernel
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), *interpolation)


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int, dilation: int) -> nn.Conv2d:
    """3×3 and the like without bias, with He initialisation (He et al., 2015)."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution
