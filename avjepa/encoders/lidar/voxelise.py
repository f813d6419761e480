"""LiDAR points -> features of the voxels they fall into."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.sample import Points
from avjepa.errors import UserError
from avjepa.geometry.device import constant
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_range
from avjepa.sparse.tensor import SparseTensor

VOXEL_FEATURES = ("offset_x", "offset_y", "offset_z", "height", "range", "intensity", "time_lag", "log_count")
"""Mean offset of the points from the voxel's centre (voxel sides), mean height in the voxel grid (0 at its lower end, 1
at its upper one), horizontal distance of the voxel from the BEV origin (in units of 50 m: the density of points depends
on it), mean intensity, mean age (s), log(1 + number of points)."""

_RANGE_UNIT = 50.0
_INTENSITY_AND_LAG = [LIDAR_FIELDS.index("intensity"), LIDAR_FIELDS.index("time_lag")]


@dataclass(frozen=True)
class VoxelGrid:
    """Boxes of equal size over a BEV grid, whose columns are the cells of ``bev``.

    A voxel holds its lower faces and not its upper ones.

    Args:
        bev: the columns.
        z_min: lower end in metres.
        z_max: upper end in metres; ``z_max - z_min`` is a whole number of voxels.
        height: height of a voxel in metres.
    """

    bev: BEVGrid
    z_min: float
    z_max: float
    height: float

    def __post_init__(self) -> None:
        require_number("VoxelGrid.height", self.height, above=0)
        require_range("VoxelGrid.z_range", (self.z_min, self.z_max))
        layers = (self.z_max - self.z_min) / self.height
        if round(layers) < 1 or abs(layers - round(layers)) > 1e-4:
            raise UserError(
                f"VoxelGrid: z_range [{self.z_min}, {self.z_max}] is not a whole number of {self.height} m voxels"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(layers along z, rows along y, columns along x)."""
        return round((self.z_max - self.z_min) / self.height), *self.bev.shape

    def places_of(self, points: Points) -> tuple[Int64[Tensor, "point"], Bool[Tensor, "point"]]:
        """Of every point of a batch, the voxel's position in the flattened (batch, z, y, x) grid, and whether the point
        lies inside; points outside are moved into the grid."""
        x, y, z = points.xyz.unbind(1)
        layers, rows, columns = self.shape
        row, column, inside = self.bev.rows_and_columns(x, y)
        position = torch.floor((z - self.z_min) / self.height)
        inside = inside & (position >= 0) & (position < layers)
        layer = position.nan_to_num(0.0).clamp(0, layers - 1).long()
        return ((points.batch_index * layers + layer) * rows + row) * columns + column, inside

    def centres_of(self, voxels: Int64[Tensor, "voxel 3"]) -> Float[Tensor, "voxel 3"]:
        """(x, y, z) of the centres of voxels given as (layer, row, column)."""
        size = constant((self.bev.cell, self.bev.cell, self.height), torch.float32, voxels.device)
        origin = constant((self.bev.x_min, self.bev.y_min, self.z_min), torch.float32, voxels.device)
        return origin + (voxels.flip(1) + 0.5) * size


def voxelised(
    points: Points, voxel: Int64[Tensor, "point"], kept: Int64[Tensor, "kept"], grid: VoxelGrid
) -> SparseTensor:
    """Features ``VOXEL_FEATURES`` of every voxel that holds a point.

    Args:
        points: LiDAR points of a batch (``LIDAR_FIELDS``).
        voxel: of every point, see ``VoxelGrid.places_of``.
        kept: the points that count, all of them inside the grid.
        grid: the voxels.

    Returns:
        A sparse tensor whose sites are sorted by (batch, z, y, x).
    """
    layers, rows, columns = grid.shape
    sites, site_of_point, count = torch.unique(voxel[kept], return_inverse=True, return_counts=True)
    voxels = torch.stack((sites // (rows * columns) % layers, sites // columns % rows, sites % columns), dim=1)
    indices = torch.cat((sites[:, None] // (layers * rows * columns), voxels), dim=1).int()

    features = points.features[kept]
    mean = features.new_zeros(len(sites), features.shape[1]).index_add_(0, site_of_point, features) / count[:, None]
    centre = grid.centres_of(voxels)
    offset = (mean[:, :3] - centre) / constant((grid.bev.cell, grid.bev.cell, grid.height), mean.dtype, mean.device)
    height = (mean[:, 2:3] - grid.z_min) / (grid.z_max - grid.z_min)
    distance = centre[:, :2].norm(dim=1, keepdim=True) / _RANGE_UNIT
    measured = (mean[:, field, None] for field in _INTENSITY_AND_LAG)
    values = torch.cat((offset, height, distance, *measured, count[:, None].log1p()), dim=1)
    return SparseTensor(values, indices, grid.shape, points.batch_size, known_sites=True)
