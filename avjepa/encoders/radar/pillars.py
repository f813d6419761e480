"""Points of a cell -> one vector, for however few points."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from avjepa.geometry.grid import BEVGrid


class PillarNet(nn.Module):
    """A small PointNet in every pillar (PointPillars, 1812.05784), with both the maximum and the mean over its points.

    Norms are over the channels of a point, not over points: a single point, or none, needs no special case, and a
    cell's vector does not depend on how many points the rest of the batch has.

    Args:
        in_features: numbers per point.
        channels: channels of the result.
    """

    def __init__(self, in_features: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.point = nn.Sequential(
            nn.Linear(in_features, channels), nn.LayerNorm(channels), nn.ReLU(inplace=True),
            nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.pillar = nn.Sequential(
            nn.Linear(2 * channels + 1, channels), nn.LayerNorm(channels), nn.ReLU(inplace=True)
        )

    def forward(
        self, points: Float[Tensor, "point feature"], cell: Int64[Tensor, "point"], cells: int
    ) -> Float[Tensor, "cells channel"]:
        """One vector per cell, zero in cells without points.

        Args:
            points: features per point.
            cell: cell of each point.
            cells: number of cells.
        """
        encoded = self.point(points).float()
        pillars, pillar_of, count = torch.unique(cell, return_inverse=True, return_counts=True)
        zeros = encoded.new_zeros(len(pillars), self.channels)
        mean = zeros.index_add(0, pillar_of, encoded) / count[:, None]
        # Starts from 0, which no maximum of rectified values is below.
        greatest = zeros.scatter_reduce(0, pillar_of[:, None].expand_as(encoded), encoded, "amax")
        vectors: Tensor = self.pillar(torch.cat((greatest, mean, count[:, None].float().log1p()), dim=1)).float()
        return vectors.new_zeros(cells, self.channels).index_copy(0, pillars, vectors)


def cells_of_points(
    grid: BEVGrid, xyz: Float[Tensor, "point 3"], batch_index: Int64[Tensor, "point"]
) -> tuple[Int64[Tensor, "point"], Bool[Tensor, "point"]]:
    """Cell of every point in the flattened (batch, y, x) grid, and whether it lies in the grid; any height does."""
    row, column, inside = grid.rows_and_columns(xyz[:, 0], xyz[:, 1])
    rows, columns = grid.shape
    return (batch_index * rows + row) * columns + column, inside


def one_hot_code(values: Float[Tensor, "point"], codes: int) -> Float[Tensor, "point codes"]:
    """A sensor's enumerated field as one of ``codes`` positions; a code beyond the known ones counts as the last."""
    return functional.one_hot(values.long().clamp(0, codes - 1), codes).float()
