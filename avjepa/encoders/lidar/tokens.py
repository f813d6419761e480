"""The points of a batch, and the voxel that each of them falls into."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Int64
from torch import Tensor

from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.encoders.base import per_sample
from avjepa.encoders.lidar.voxelise import VoxelGrid
from avjepa.encoders.point_tokens import PointTokens
from avjepa.geometry.device import occurrences

_MOST_BEAMS = 256
_THINNING_STREAM = 0x6C696461722D7468  # keeps these draws apart from the masks, which use the same seeds


@dataclass(frozen=True)
class LidarTokens(PointTokens):
    """Points in the voxels of a grid, whose voxels nest in the cells of the token grid."""

    fields = LIDAR_FIELDS
    voxel: Int64[Tensor, "point"]
    """The voxel of every point: ``VoxelGrid.places_of``."""
    voxel_grid: VoxelGrid
    thin_by_beam: float

    @cached_property
    def cell(self) -> Int64[Tensor, "point"]:
        """See ``PointTokens.cell``."""
        _, rows, columns = self.voxel_grid.shape
        across = self.token_grid.shape[1]
        stride = columns // across
        row, column = self.voxel // columns % rows, self.voxel % columns
        return (self.points.batch_index * (rows // stride) + row // stride) * across + column // stride

    def without(self, share: float | Sequence[float]) -> "LidarTokens":
        """See ``Tokens.without``. Whole beams take ``thin_by_beam`` of the share, single points the rest."""
        points = self.points
        counts = occurrences(points.batch_index, points.batch_size).tolist()
        shares = per_sample(share, len(counts))
        # a GPU is not asked for what nobody reads
        by_beam = self.thin_by_beam > 0 and max(shares) > 0
        rings = points.features[:, LIDAR_FIELDS.index("ring")].long().cpu() if by_beam else torch.zeros(sum(counts))
        stays = []
        for seed, ring, own in zip(self.seeds.tolist(), torch.split(rings, counts), shares, strict=True):
            beams = own * self.thin_by_beam
            singles = (own - beams) / (1 - beams) if beams < 1 else 0.0
            # drawn on the CPU: a seed gives the same points on every device
            generator = torch.Generator().manual_seed((seed ^ _THINNING_STREAM) % 2**63)
            beam_stays = torch.rand(_MOST_BEAMS, generator=generator) >= beams
            point_stays = torch.rand(len(ring), generator=generator) >= singles
            stays.append(point_stays & beam_stays[ring % _MOST_BEAMS] if beams > 0 else point_stays)
        return replace(self, kept=self.kept & torch.cat(stays).to(self.kept.device, non_blocking=True))
