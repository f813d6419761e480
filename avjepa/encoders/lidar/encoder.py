"""LiDAR encoder: voxels, sparse 3-D convolutions, height compression, dense BEV network."""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.sample import Batch, Points
from avjepa.encoders.base import BEVMap, SensorEncoder
from avjepa.encoders.blocks import BEVUNet, SparseNorm
from avjepa.encoders.lidar.voxelise import VOXEL_FEATURES, VoxelGrid, voxelised
from avjepa.encoders.reconstruction_target import PillarPoints
from avjepa.errors import UserError
from avjepa.geometry.device import occurrences
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number, require_numbers
from avjepa.sparse.conv import SparseConv3d, SubmanifoldConv3d
from avjepa.sparse.tensor import SparseTensor


class LidarEncoder(SensorEncoder):
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
        thin_by_beam: part of the input drop-out (``drop_input``) that takes whole beams, from 0 to 1.

    Raises:
        UserError: the numbers do not fit together.
    """

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
        if len(bev_channels) != len(bev_blocks) or not bev_channels:
            raise UserError(
                f"LidarEncoder: bev_channels {list(bev_channels)} and bev_blocks {list(bev_blocks)} describe the same "
                "depths; give both the same number of entries"
            )
        for name, counts in {"channels": channels, "strides": strides, "bev_channels": bev_channels}.items():
            require_numbers(f"LidarEncoder.{name}", counts, at_least=1)
        for name, counts in {"blocks": blocks, "bev_blocks": bev_blocks}.items():
            require_numbers(f"LidarEncoder.{name}", counts, at_least=0)
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

    def forward(self, batch: Batch, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """See ``SensorEncoder.forward``."""
        points = _lidar_of(batch)
        with torch.autocast(points.features.device.type, enabled=False):
            x = voxelised(points, self.voxel_grid)
            if masked is not None:
                x = _selected(x, ~masked.flatten()[self._token_of(x)])
            occupied = self._occupied_cells(x)
            intermediate_features = []
            for stage in self.stages:
                x = stage(x)
                intermediate_features.append(self._columns(x))
            flat = self.height_compression(x).dense()[:, :, 0]
        first, features = self.bev(flat)
        return BEVMap(features.float(), occupied, (*intermediate_features, first.float()))

    def observed(self, batch: Batch) -> Bool[Tensor, "batch y x"]:
        """See ``SensorEncoder.observed``."""
        points = _lidar_of(batch)
        voxels, inside = self.voxel_grid.voxel_of(points.xyz)
        rows, columns = self.token_grid.shape
        cells = voxels[:, 1:] // self.token_stride
        tokens = (points.batch_index * rows + cells[:, 0]) * columns + cells[:, 1]
        count = points.batch_size * rows * columns
        # points outside mark one cell more, which is cut off
        occupied = inside.new_zeros(count + 1).index_fill_(0, torch.where(inside, tokens, count), True)
        return occupied[:count].view(points.batch_size, rows, columns)

    def drop_input(self, batch: Batch, share: float) -> Batch:
        """See ``SensorEncoder.drop_input``. Whole beams take ``thin_by_beam`` of the share, single points the rest."""
        points = _lidar_of(batch)
        counts = occurrences(points.batch_index, points.batch_size).tolist()
        beams = share * self.thin_by_beam
        # a GPU is not asked for what nobody reads
        rings = points.features[:, LIDAR_FIELDS.index("ring")].long().cpu() if beams > 0 else torch.zeros(sum(counts))
        singles = (share - beams) / (1 - beams) if beams < 1 else 0.0
        keep = []
        for seed, ring in zip(batch.seeds.tolist(), torch.split(rings, counts), strict=True):
            # drawn on the CPU: a seed gives the same points on every device
            generator = torch.Generator().manual_seed((seed ^ _THINNING_STREAM) % 2**63)
            kept_beams = torch.rand(_MOST_BEAMS, generator=generator) >= beams
            kept_points = torch.rand(len(ring), generator=generator) >= singles
            keep.append(kept_points & kept_beams[ring % _MOST_BEAMS] if beams > 0 else kept_points)
        return replace(batch, lidar=points.selected(torch.cat(keep)))

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

    def _columns(self, x: SparseTensor) -> Float[Tensor, "batch channel y x"]:
        """Means of the features in the layers of every cell's column, lowest layer first."""
        rows, columns = self.token_grid.shape
        layers = min(self.level_layers, x.spatial_shape[0])
        layer = x.indices[:, 1].long() * layers // x.spatial_shape[0]
        places = self._token_of(x) * layers + layer
        count = x.batch_size * rows * columns * layers
        channels = x.features.shape[1]
        total = x.features.new_zeros(count, channels).index_add_(0, places, x.features)
        mean = total / occurrences(places, count).clamp(min=1)[:, None]
        return mean.view(x.batch_size, rows, columns, layers * channels).permute(0, 3, 1, 2)


_MOST_BEAMS = 256
_THINNING_STREAM = 0x6C696461722D7468  # keeps these draws apart from the masks, which use the same seeds


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
        raise UserError(
            f"LidarEncoder: no LiDAR in the batch of {', '.join(batch.tokens[:3])}; "
            "add lidar to the sensors of the data section or choose another encoder"
        )
    return batch.lidar


def _selected(x: SparseTensor, keep: Bool[Tensor, "site"]) -> SparseTensor:
    kept = keep.nonzero()[:, 0]
    return SparseTensor(x.features[kept], x.indices[kept], x.spatial_shape, x.batch_size, known_sites=True)
