"""The points of a batch, and the voxel that each of them falls into."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.sample import Points
from avjepa.encoders.base import Tokens
from avjepa.encoders.lidar.voxelise import VoxelGrid
from avjepa.geometry.device import occurrences
from avjepa.geometry.grid import BEVGrid

_MOST_BEAMS = 256
_THINNING_STREAM = 0x6C696461722D7468  # keeps these draws apart from the masks, which use the same seeds


@dataclass(frozen=True)
class LidarTokens(Tokens):
    """Points in the voxels of a grid, whose voxels nest in the cells of the token grid."""

    points: Points
    seeds: Int64[Tensor, "batch"]
    """Of every sample, on the CPU."""
    voxel: Int64[Tensor, "point"]
    """The voxel of every point: ``VoxelGrid.places_of``."""
    kept: Bool[Tensor, "point"]
    """Whether a point lies in the grid and was not dropped."""
    voxel_grid: VoxelGrid
    token_grid: BEVGrid
    thin_by_beam: float

    @cached_property
    def cell(self) -> Int64[Tensor, "point"]:
        """Position of every point's cell in the flattened (batch, y, x) token grid."""
        _, rows, columns = self.voxel_grid.shape
        across = self.token_grid.shape[1]
        stride = columns // across
        row, column = self.voxel // columns % rows, self.voxel % columns
        return (self.points.batch_index * (rows // stride) + row // stride) * across + column // stride

    @cached_property
    def observed(self) -> Bool[Tensor, "batch y x"]:  # type: ignore[override]
        """The cells into which a point falls that was kept."""
        shape = (self.points.batch_size, *self.token_grid.shape)
        count = shape[0] * shape[1] * shape[2]
        # the points left out mark one cell more, which is cut off
        occupied = self.kept.new_zeros(count + 1).index_fill_(0, torch.where(self.kept, self.cell, count), True)
        return occupied[:count].view(shape)

    def without(self, share: float) -> "LidarTokens":
        """See ``Tokens.without``. Whole beams take ``thin_by_beam`` of the share, single points the rest."""
        points = self.points
        counts = occurrences(points.batch_index, points.batch_size).tolist()
        beams = share * self.thin_by_beam
        # a GPU is not asked for what nobody reads
        rings = points.features[:, LIDAR_FIELDS.index("ring")].long().cpu() if beams > 0 else torch.zeros(sum(counts))
        singles = (share - beams) / (1 - beams) if beams < 1 else 0.0
        stays = []
        for seed, ring in zip(self.seeds.tolist(), torch.split(rings, counts), strict=True):
            # drawn on the CPU: a seed gives the same points on every device
            generator = torch.Generator().manual_seed((seed ^ _THINNING_STREAM) % 2**63)
            beam_stays = torch.rand(_MOST_BEAMS, generator=generator) >= beams
            point_stays = torch.rand(len(ring), generator=generator) >= singles
            stays.append(point_stays & beam_stays[ring % _MOST_BEAMS] if beams > 0 else point_stays)
        return replace(self, kept=self.kept & torch.cat(stays).to(self.kept.device, non_blocking=True))

    def visible(self, masked: Bool[Tensor, "batch y x"] | None) -> Int64[Tensor, "visible"]:
        """The points that were kept and do not lie in a masked cell, ascending."""
        kept = self.kept if masked is None else self.kept & ~masked.flatten()[self.cell]
        return kept.nonzero()[:, 0]
