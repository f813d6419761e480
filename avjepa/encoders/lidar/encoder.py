"""LiDAR encoder: voxels, sparse 3-D convolutions, height compression, dense BEV network."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from avjepa.data.sample import Batch, Points
from avjepa.encoders.base import CellFeatures, Tokens
from avjepa.encoders.blocks import BEVUNet, SparseNorm, require_depths
from avjepa.encoders.lidar.tokens import LidarTokens
from avjepa.encoders.lidar.voxelise import VOXEL_FEATURES, VoxelGrid, voxelised
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.encoders.plane_encoder import OnPlane, PlaneEncoder
from avjepa.encoders.reconstruction_target import PillarPoints
from avjepa.errors import UserError
from avjepa.geometry.device import occurrences
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_numbers
from avjepa.sparse.conv import SparseConv3d, SubmanifoldConv3d
from avjepa.sparse.tensor import SparseTensor


class LidarEncoder(PlaneEncoder):
    """A sparse convolutional backbone of the VoxelBackBone8x family (SECOND, Yan et al., 2018; OpenPCDet).

    Each stage is a convolution (submanifold in the first stage, strided after it) and residual blocks of two
    submanifold convolutions. One convolution over the full remaining height, the same as flattening the height into
    channels and mixing them, turns the last stage into a BEV map; a ``BEVUNet`` finishes it.

    Voxels nest in the cells of the token grid, so a hidden cell's points never share a voxel with visible ones.
    ``BEVMap.intermediate_features`` are each stage's features, averaged over the sites of a cell in each of a few
    layers of height and joined (zero without a site), and the first depth of the dense network. A mean over the full
    height would not tell a wall from a kerb: as targets of JEPA, features with height gave half as much again in
    detection on frozen features (docs/results/label_efficiency_log.md). The sparse half computes in float32 under any
    autocast.

    Args:
        token_grid: cells of the output.
        voxel_size: side of a voxel along x and y in metres; times the product of ``strides`` it is the token cell.
        voxel_height: height of a voxel in metres.
        z_range: lowest and highest z in the BEV frame (ground near 0) in metres; points outside are left out.
        channels: channels of each sparse stage.
        blocks: residual blocks of each sparse stage.
        strides: stride of each sparse stage, along all axes.
        overlapping: a strided kernel reaches over the border of its cell (size 2·stride − 1, as in VoxelBackBone8x:
            sites spread, at half the speed) or covers just its cell (size equal to the stride).
        bev_channels: channels at each depth of the dense network.
        bev_blocks: residual blocks at each depth of the dense network.
        out_channels: channels of the output.
        level_layers: layers of height that a level tells apart, at most; a stage with fewer tells all of its own.
        thin_by_beam: part of the input drop-out (``Tokens.without``) that takes whole beams, from 0 to 1.

    Raises:
        UserError: the numbers do not fit together.
    """

    sensor = "lidar"

    def __init__(
        self,
        token_grid: BEVGrid,
        voxel_size: float,
        voxel_height: float,
        z_range: tuple[float, float],
        channels: tuple[int, ...],
        blocks: tuple[int, ...],
        strides: tuple[int, ...],
        overlapping: bool,
        bev_channels: tuple[int, ...],
        bev_blocks: tuple[int, ...],
        out_channels: int,
        level_layers: int = 4,
        thin_by_beam: float = 0.0,
    ) -> None:
        super().__init__()
        if not len(channels) == len(blocks) == len(strides) > 0:
            raise UserError(
                f"LidarEncoder: channels {list(channels)}, blocks {list(blocks)} and strides {list(strides)} "
                "describe the same stages; give each the same number of entries"
            )
        require_depths("LidarEncoder", bev_channels, bev_blocks)
        for name, counts in {"channels": channels, "strides": strides}.items():
            require_numbers(f"LidarEncoder.{name}", counts, at_least=1)
        require_numbers("LidarEncoder.blocks", blocks, at_least=0)
        require_number("LidarEncoder.out_channels", out_channels, at_least=1)
        require_number("LidarEncoder.voxel_size", voxel_size, above=0)
        require_number("LidarEncoder.level_layers", level_layers, at_least=1)
        require_number("LidarEncoder.thin_by_beam", thin_by_beam, at_least=0, at_most=1)
        self.token_stride = math.prod(strides)
        if not math.isclose(voxel_size * self.token_stride, token_grid.cell, rel_tol=1e-6):
            raise UserError(
                f"LidarEncoder: voxel_size {voxel_size:g} m times strides {list(strides)} gives cells of "
                f"{voxel_size * self.token_stride:g} m, but token_grid.cell is {token_grid.cell:g} m; make them equal"
            )
        self.voxel_grid = VoxelGrid(token_grid.refined(self.token_stride), *z_range, voxel_height)
        layers = self.voxel_grid.shape[0]
        if not overlapping and layers % self.token_stride:
            raise UserError(
                f"LidarEncoder: {layers} layers of voxels (z_range, voxel_height) do not divide by the total stride "
                f"{self.token_stride}; change one of them or set overlapping: true"
            )
        self.token_grid = token_grid
        self.out_channels = out_channels
        self.level_layers, self.thin_by_beam = level_layers, thin_by_beam

        self.stages = nn.ModuleList()
        self.intermediate_channels = ()
        width = len(VOXEL_FEATURES)
        for out, count, stride in zip(channels, blocks, strides, strict=True):
            self.stages.append(_SparseStage(width, out, count, stride, overlapping))
            layers = math.ceil(layers / stride)
            width = out
            self.intermediate_channels += (width * min(layers, level_layers),)
        self.intermediate_channels += (bev_channels[0],)
        self.height_compression = _SparseConvNormReLU(
            SparseConv3d(width, bev_channels[0], kernel=(layers, 1, 1), stride=(layers, 1, 1))
        )
        self.bev = BEVUNet(bev_channels[0], out_channels, bev_channels, bev_blocks)

    def tokenise(self, batch: Batch) -> LidarTokens:
        """See ``SensorEncoder.tokenise``."""
        points = _lidar_of(batch)
        voxel, inside = self.voxel_grid.places_of(points)
        return LidarTokens(points, batch.seeds, inside, self.token_grid, voxel, self.voxel_grid, self.thin_by_beam)

    def on_plane(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> OnPlane:
        """See ``PlaneEncoder.on_plane``: voxels, sparse convolutions, height folded into channels."""
        assert isinstance(tokens, LidarTokens)
        points = tokens.points
        with torch.autocast(points.features.device.type, enabled=False):
            x = voxelised(points, tokens.voxel, tokens.visible(masked), self.voxel_grid)
            occupied = self._occupied_cells(x)
            intermediate_features: list[CellFeatures] = []
            for stage in self.stages:
                x = stage(x)
                layers = min(self.level_layers, x.spatial_shape[0])
                intermediate_features.append(SparseColumns(x, self._token_of(x), occupied.numel(), layers))
            flat = self.height_compression(x).dense().squeeze(2)
        return OnPlane(flat, occupied, tuple(intermediate_features))

    def reconstruction_target(self) -> PillarPoints:
        """See ``SensorEncoder.reconstruction_target``: the points of a cell's column."""
        return PillarPoints("lidar")

    def _token_of(self, x: SparseTensor) -> Int64[Tensor, "site"]:
        """Position of every site's cell in the flattened (batch, y, x) token grid."""
        rows, columns = self.token_grid.shape
        per_token = x.spatial_shape[1] // rows
        batch, _, y, x_ = x.indices.long().unbind(1)
        return (batch * rows + y // per_token) * columns + x_ // per_token

    def _occupied_cells(self, x: SparseTensor) -> Bool[Tensor, "batch y x"]:
        rows, columns = self.token_grid.shape
        occupied = torch.zeros(x.batch_size * rows * columns, dtype=torch.bool, device=x.indices.device)
        occupied.index_fill_(0, self._token_of(x), True)
        return occupied.view(x.batch_size, rows, columns)


@dataclass(frozen=True)
class SparseColumns(CellFeatures):
    """Means of a sparse tensor's features in the layers of every cell's column, lowest layer first; 0 without sites."""

    x: SparseTensor
    cell: Int64[Tensor, "site"]
    """Position of every site's cell in the flattened (batch, y, x) token grid."""
    cell_count: int
    """Of that grid."""
    layers: int
    """Of height that are told apart."""

    def at(self, cells: Int64[Tensor, "cell"]) -> Float[Tensor, "cell channel"]:
        """See ``CellFeatures.at``."""
        nowhere = len(cells)
        place_of_cell = cells.new_full((self.cell_count,), nowhere)
        place_of_cell[cells] = torch.arange(nowhere, device=cells.device)
        place = place_of_cell[self.cell]
        site = (place < nowhere).nonzero()[:, 0]
        layer = self.x.indices[site, 1].long() * self.layers // self.x.spatial_shape[0]
        place = place[site] * self.layers + layer
        features, count = self.x.features, nowhere * self.layers
        total = features.new_zeros(count, features.shape[1]).index_add(0, place, features[site])
        mean = total / occurrences(place, count).clamp(min=1)[:, None]
        return mean.view(nowhere, self.layers * features.shape[1])


class _SparseConvNormReLU(nn.Module):
    def __init__(self, convolution: SubmanifoldConv3d | SparseConv3d) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = SparseNorm(convolution.out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self.convolution(x)
        return x.with_features(functional.relu(self.norm(x.features)))


class _SparseResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _SparseConvNormReLU(SubmanifoldConv3d(channels, channels))
        self.second = SubmanifoldConv3d(channels, channels)
        self.norm = SparseNorm(channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        change = self.norm(self.second(self.first(x)).features)
        return x.with_features(functional.relu(x.features + change))


class _SparseStage(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int, blocks: int, stride: int, overlapping: bool) -> None:
        entry: SubmanifoldConv3d | SparseConv3d
        if stride == 1:
            entry = SubmanifoldConv3d(in_channels, out_channels)
        elif overlapping:
            entry = SparseConv3d(in_channels, out_channels, 2 * stride - 1, stride, padding=stride - 1)
        else:
            entry = SparseConv3d(in_channels, out_channels, stride, stride)
        super().__init__(_SparseConvNormReLU(entry), *(_SparseResidualBlock(out_channels) for _ in range(blocks)))


def _lidar_of(batch: Batch) -> Points:
    if batch.lidar is None:
        raise MissingSensorError("LidarEncoder", "lidar", batch)
    return batch.lidar
