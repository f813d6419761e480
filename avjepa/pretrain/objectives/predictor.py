"""From the visible cells' embeddings to those of every cell."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avjepa.encoders.base import BEVMap
from avjepa.encoders.cell_blocks import PreNormBlock
from avjepa.geometry.device import constant
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_numbers


@dataclass(frozen=True)
class PredictorOptions:
    """Size of a predictor; the objectives that are compared get the same.

    Args:
        width: channels inside.
        dilations: of the 3×3 convolution of each residual block. The receptive field, ``stride`` · (1 + 2 · sum)
            cells, should span the mask's blocks: 34 cells by default.
        stride: side in cells of the squares on which the residual blocks work; predictions are read for single cells.
    """

    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 1)
    stride: int = 2

    def __post_init__(self) -> None:
        require_number("predictor.width", self.width, at_least=1)
        require_numbers("predictor.dilations", self.dilations, at_least=1)
        require_number("predictor.stride", self.stride, at_least=1)


@dataclass(frozen=True)
class Refined:
    """What a predictor made of a context, from which the prediction of any cell is read."""

    squares: Float[Tensor, "batch square_y square_x channel"]
    """Of every square of cells."""
    visible: Float[Tensor, "batch y x embedding"]
    """The context's embeddings, 0 in hidden cells that nothing is remembered of."""
    kind: Float[Tensor, "batch y x 2"]
    """1 where a cell is hidden, and 1 where it is visible and empty."""


class Predictor(nn.Module):
    """Residual convolutions over squares of cells, and a linear layer for the cells that are asked for.

    A hidden cell enters as a learnable mask token and nothing else, unless the context remembers what was there before:
    then with the embedding of that. A visible cell enters by its embedding, and a
    learnable empty token is added where the sensor saw nothing: in a sparse map the token is all that such a cell
    carries, in a dense one what the encoder inferred there stays, and is trained. A square of ``stride`` · ``stride``
    cells is embedded into one row, with its position, and the residual blocks work on these: at a stride of 2 on a
    quarter of the rows. A cell's prediction is read from its square, as the member of it that the cell is, and from
    what entered for the cell itself.

    Args:
        in_channels: channels of the context encoder's map.
        out_channels: channels of the prediction.
        grid: the token grid.
        options: width and depth.
    """

    def __init__(self, in_channels: int, out_channels: int, grid: BEVGrid, options: PredictorOptions) -> None:
        super().__init__()
        width, self.stride = options.width, options.stride
        rows, columns = (-(-size // self.stride) for size in grid.shape)
        cell = grid.cell * self.stride
        self.position = PositionEncoding(
            BEVGrid(grid.x_min, grid.x_min + columns * cell, grid.y_min, grid.y_min + rows * cell, cell)
        )
        members = self.stride**2
        self.embed = nn.Linear(members * in_channels, width)
        self.tokens = nn.Linear(members * 2, width, bias=False)
        self.embed_position = nn.Linear(self.position.channels, width)
        self.blocks = nn.Sequential(*(PreNormBlock(width, dilation) for dilation in options.dilations))
        self.members = nn.Linear(width, members * width)
        self.embed_cell = nn.Linear(in_channels, width)
        self.cell_tokens = nn.Linear(2, width, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out_channels)

    def forward(
        self,
        context: BEVMap,
        masked: Bool[Tensor, "batch y x"],
        sensor_xy: Float[Tensor, "batch 2"],
        cells: Int64[Tensor, "cell"],
        remembered: Bool[Tensor, "batch y x"] | None = None,
    ) -> Float[Tensor, "cell embedding"]:
        """Predicted embeddings of some cells, given by their positions in the flattened (batch, y, x) grid.

        Args:
            context: the context encoder's map; what it holds in hidden cells does not enter.
            masked: the masked cells.
            sensor_xy: origin of ranges and azimuths, in metres.
            cells: the cells to predict.
            remembered: hidden cells of which the context knows from before they were hidden; ``None`` for none.
        """
        prediction: Tensor = self.head(self.read(self.refine(context, masked, sensor_xy, remembered), cells))
        return prediction

    def refine(
        self,
        context: BEVMap,
        masked: Bool[Tensor, "batch y x"],
        sensor_xy: Float[Tensor, "batch 2"],
        remembered: Bool[Tensor, "batch y x"] | None = None,
    ) -> Refined:
        """What the predictions of all cells are read from; the arguments are those of ``forward``."""
        features = context.features.permute(0, 2, 3, 1)
        readable = ~masked if remembered is None else ~masked | remembered
        visible = features * readable[..., None].to(features.dtype)  # ten times as fast as torch.where on a CPU
        kind = torch.stack((masked, ~masked & ~context.observed), dim=-1).to(visible.dtype)
        squares = self.embed(self._squares(visible)) + self.tokens(self._squares(kind))
        squares = squares + self.embed_position(self.position(sensor_xy).to(squares.dtype))
        refined = self.blocks(squares.permute(0, 3, 1, 2))  # channels last in memory
        return Refined(refined.permute(0, 2, 3, 1), visible, kind)

    def read(self, refined: Refined, cells: Int64[Tensor, "cell"]) -> Float[Tensor, "cell channel"]:
        """What ``head`` reads, for an objective that has further heads."""
        _, rows, columns, _ = refined.visible.shape
        square_rows, square_columns = refined.squares.shape[1:3]
        sample, row, column = cells // (rows * columns), cells // columns % rows, cells % columns
        square = (sample * square_rows + row // self.stride) * square_columns + column // self.stride
        member = row % self.stride * self.stride + column % self.stride
        of_square = self.members(refined.squares.flatten(0, 2).index_select(0, square)).unflatten(
            1, (self.stride**2, -1)
        )
        cell = of_square[torch.arange(len(cells), device=cells.device), member]
        cell = cell + self.embed_cell(refined.visible.flatten(0, 2).index_select(0, cells))
        cell = cell + self.cell_tokens(refined.kind.flatten(0, 2).index_select(0, cells))
        read: Tensor = self.norm(cell + self.mlp(cell))
        return read

    def _squares(self, cells: Float[Tensor, "batch y x channel"]) -> Float[Tensor, "batch square_y square_x _"]:
        """The rows of the cells of every square joined; cells beyond the grid are 0."""
        side = self.stride
        rows, columns = cells.shape[1:3]
        if rows % side or columns % side:
            cells = nn.functional.pad(cells, (0, 0, 0, -columns % side, 0, -rows % side))
        batch, rows, columns, channels = cells.shape
        split = cells.view(batch, rows // side, side, columns // side, side, channels)
        return split.transpose(2, 3).flatten(3)


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

    def forward(self, sensor_xy: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch y x channel"]:
        """The encoding of all cells."""
        offset = self.centres - sensor_xy[:, None, None, :]
        metres = torch.cat((offset, offset.norm(dim=-1, keepdim=True)), dim=-1)
        waves = (metres[..., None] * self.frequencies).flatten(-2)
        azimuth = torch.atan2(offset[..., 1], offset[..., 0])[..., None] * constant(
            self.harmonics, offset.dtype, offset.device
        )
        angles = torch.cat((waves, azimuth), dim=-1)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)
