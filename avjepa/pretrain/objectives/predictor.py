"""From the visible cells' embeddings to those of every cell."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.encoders.base import BEVMap
from avjepa.geometry.device import constant
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_numbers


@dataclass(frozen=True)
class PredictorOptions:
    """Size of a predictor; the objectives that are compared get the same.

    Args:
        width: channels inside.
        dilations: of the 3×3 convolution of each residual block. The receptive field, 1 + 2 · sum cells, should span
            the mask's blocks: 17 cells by default.
    """

    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 1)

    def __post_init__(self) -> None:
        require_number("predictor.width", self.width, at_least=1)
        require_numbers("predictor.dilations", self.dilations, at_least=1)


class Predictor(nn.Module):
    """A residual convolutional network over the token grid that ends in a linear layer.

    Hidden cells enter as one learnable mask token and nothing else. A visible cell enters by its embedding, and a
    learnable empty token is added where the sensor saw nothing: in a sparse map the token is all that such a cell
    carries, in a dense one what the encoder inferred there stays, and is trained. All cells get their position.

    Args:
        in_channels: channels of the context encoder's map.
        out_channels: channels of the prediction.
        grid: the token grid.
        options: width and depth.
    """

    def __init__(self, in_channels: int, out_channels: int, grid: BEVGrid, options: PredictorOptions) -> None:
        super().__init__()
        width = options.width
        self.position = PositionEncoding(grid)
        self.embed = nn.Conv2d(in_channels, width, 1)
        self.embed_position = nn.Conv2d(self.position.channels, width, 1)
        self.mask_token = nn.Parameter(torch.randn(width, 1, 1) * 0.02)
        self.empty_token = nn.Parameter(torch.randn(width, 1, 1) * 0.02)
        self.blocks = nn.Sequential(*(ResidualBlock(width, dilation) for dilation in options.dilations))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out_channels)

    def forward(
        self, context: BEVMap, masked: Bool[Tensor, "batch y x"], sensor_xy: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, "batch embedding y x"]:
        """Predicted embeddings of all cells.

        Args:
            context: the context encoder's map; what it holds in hidden cells is not read.
            masked: the masked cells.
            sensor_xy: origin of ranges and azimuths, in metres.
        """
        prediction: Tensor = self.head(self.refined(context, masked, sensor_xy))
        return prediction.permute(0, 3, 1, 2)

    def refined(
        self, context: BEVMap, masked: Bool[Tensor, "batch y x"], sensor_xy: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, "batch y x channel"]:
        """What ``head`` reads, for an objective that wants the predictions of some cells, or further heads."""
        visible = self.embed(context.features) + torch.where(context.observed[:, None], 0.0, self.empty_token)
        tokens = torch.where(masked[:, None], self.mask_token, visible) + self.embed_position(self.position(sensor_xy))
        tokens = tokens.contiguous(memory_format=torch.channels_last)  # the norms' order: else each copies twice
        refined: Tensor = self.norm(self.blocks(tokens).permute(0, 2, 3, 1))
        return refined


class PositionEncoding(nn.Module):
    """Sines and cosines of the metric position of every cell relative to the sensor.

    Of x and y with wavelengths from four cells to twice the grid, of the range likewise, and of the azimuth's first
    harmonics: range and azimuth tell the density of points and the side from which a thing is seen.
    """

    harmonics = (1, 2, 4)

    def __init__(self, grid: BEVGrid, wavelengths: int = 6) -> None:
        super().__init__()
        longest = 2 * max(grid.x_max - grid.x_min, grid.y_max - grid.y_min)
        frequencies = 2 * math.pi / torch.logspace(math.log10(4 * grid.cell), math.log10(longest), wavelengths)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("centres", grid.centres(), persistent=False)
        self.channels = 6 * wavelengths + 2 * len(self.harmonics)

    frequencies: Tensor
    centres: Tensor

    def forward(self, sensor_xy: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch channel y x"]:
        """The encoding of all cells."""
        offset = self.centres - sensor_xy[:, None, None, :]
        metres = torch.cat((offset, offset.norm(dim=-1, keepdim=True)), dim=-1)
        waves = (metres[..., None] * self.frequencies).flatten(-2)
        azimuth = torch.atan2(offset[..., 1], offset[..., 0])[..., None] * constant(
            self.harmonics, offset.dtype, offset.device
        )
        angles = torch.cat((waves, azimuth), dim=-1)
        return torch.cat((angles.sin(), angles.cos()), dim=-1).permute(0, 3, 1, 2)


class CellNorm(nn.LayerNorm):
    """Layer normalisation over the channels of every cell: no statistics that mix cells, samples or processes."""

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """The normalised map."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
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
