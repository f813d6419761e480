"""The returns of a batch, and the cell that each of them falls into."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.encoders.base import per_sample
from avjepa.encoders.point_tokens import PointTokens
from avjepa.geometry.device import occurrences

_THINNING_STREAM = 0x7261646172  # keeps these draws apart from the masks, which use the same seeds


@dataclass(frozen=True)
class RadarTokens(PointTokens):
    """Returns in the cells of the token grid."""

    fields = RADAR_FIELDS
    place: Int64[Tensor, "point"]
    """The cell of every return: ``pillars.cells_of_points``."""

    @property
    def cell(self) -> Int64[Tensor, "point"]:
        """See ``PointTokens.cell``."""
        return self.place

    def without(self, share: float | Sequence[float]) -> "RadarTokens":
        """See ``Tokens.without``. Returns are dropped one by one."""
        counts = occurrences(self.points.batch_index, self.points.batch_size).tolist()
        stays = [
            torch.rand(count, generator=torch.Generator().manual_seed((seed ^ _THINNING_STREAM) % 2**63)) >= own
            for seed, count, own in zip(self.seeds.tolist(), counts, per_sample(share, len(counts)), strict=True)
        ]
        return replace(self, kept=self.kept & torch.cat(stays).to(self.kept.device, non_blocking=True))
