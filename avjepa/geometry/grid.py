"""The bird's-eye-view grid: the only place that converts between metres and cells."""

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avjepa.errors import UserError
from avjepa.geometry.device import constant
from avjepa.ranges import require_number


@dataclass(frozen=True)
class BEVGrid:
    """A rectangle of square cells on the ground plane of the BEV frame (x forward, y left, metres).

    Maps on the grid are (..., Y, X): the row index grows with y, the column index grows with x. A cell holds its
    lower edges and not its upper ones.

    Args:
        x_min: lower x edge in metres.
        x_max: upper x edge in metres; ``x_max - x_min`` is a whole number of cells.
        y_min: lower y edge in metres.
        y_max: upper y edge in metres.
        cell: side of a cell in metres.
    """

    x_min: float
    x_max: float
    y_min: float
    y_max: float
    cell: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            require_number(f"BEVGrid.{name}", value, above=0 if name == "cell" else None)
        for axis, low, high in (("x", self.x_min, self.x_max), ("y", self.y_min, self.y_max)):
            cells = (high - low) / self.cell
            if round(cells) < 1 or abs(cells - round(cells)) > 1e-4:
                raise UserError(f"BEVGrid: {axis} range [{low}, {high}] is not a whole number of {self.cell} m cells")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows along y, columns along x)."""
        return round((self.y_max - self.y_min) / self.cell), round((self.x_max - self.x_min) / self.cell)

    def cell_of(self, xy: Float[Tensor, "*batch 2"]) -> tuple[Int64[Tensor, "*batch 2"], Bool[Tensor, "*batch"]]:
        """Cells of points given in metres.

        Returns:
            (row, column) per point, clamped into the grid, and whether the point really lies inside the grid.
            A NaN coordinate is outside.
        """
        row, column, inside = self.rows_and_columns(xy[..., 0], xy[..., 1])
        return torch.stack((row, column), dim=-1), inside

    def rows_and_columns(
        self, x: Float[Tensor, "*batch"], y: Float[Tensor, "*batch"]
    ) -> tuple[Int64[Tensor, "*batch"], Int64[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
        """As ``cell_of``, of coordinates apart: row, column, and whether the point lies inside the grid."""
        rows, columns = self.shape
        column, row = torch.floor((x - self.x_min) / self.cell), torch.floor((y - self.y_min) / self.cell)
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        row, column = row.nan_to_num(0.0).clamp(0, rows - 1), column.nan_to_num(0.0).clamp(0, columns - 1)
        return row.long(), column.long(), inside

    def centres(self, device: torch.device | str | None = None) -> Float[Tensor, "y x 2"]:
        """(x, y) of every cell centre in metres."""
        rows, columns = self.shape
        x = self.x_min + (torch.arange(columns, device=device, dtype=torch.float32) + 0.5) * self.cell
        y = self.y_min + (torch.arange(rows, device=device, dtype=torch.float32) + 0.5) * self.cell
        return torch.stack((x.expand(rows, columns), y[:, None].expand(rows, columns)), dim=-1)

    def normalised(self, xy: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Points in metres as (x, y) in [-1, 1], as ``grid_sample(align_corners=False)`` wants them."""
        low = constant((self.x_min, self.y_min), xy.dtype, xy.device)
        high = constant((self.x_max, self.y_max), xy.dtype, xy.device)
        return 2 * (xy - low) / (high - low) - 1

    def refined(self, factor: int) -> "BEVGrid":
        """The grid over the same rectangle with ``factor`` cells per side in each cell."""
        return BEVGrid(self.x_min, self.x_max, self.y_min, self.y_max, self.cell / factor)
