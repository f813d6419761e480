"""Features on the occupied sites of a 3-D grid."""

from collections.abc import Hashable
from dataclasses import InitVar, dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """A (batch, channel, z, y, x) tensor that is zero except on the listed sites.

    The sites are checked on construction, because spconv reads them as raw memory: a wrong dtype, a strided view, a
    site out of range or one listed twice gives wrong numbers there and no error.

    Args:
        features: one row per site.
        indices: contiguous int32 rows [batch, z, y, x], unique, in any order.
        spatial_shape: (z, y, x) size of the grid.
        batch_size: number of samples; samples without sites are allowed.
        rulebooks: what convolutions have worked out about these sites; shared by all tensors on the same sites.
        known_sites: the sites come from another sparse tensor or from a convolution and need no check.

    Raises:
        ValueError: if the sites are not as described.
    """

    features: Float[Tensor, "site channel"]
    indices: Int[Tensor, "site 4"]
    spatial_shape: tuple[int, int, int]
    batch_size: int
    rulebooks: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    known_sites: InitVar[bool] = False

    def __post_init__(self, known_sites: bool) -> None:
        if not known_sites:
            self._check_sites()

    def with_features(self, features: Float[Tensor, "site _"]) -> "SparseTensor":
        """Other features on the same sites."""
        return SparseTensor(
            features, self.indices, self.spatial_shape, self.batch_size, self.rulebooks, known_sites=True
        )

    def dense(self) -> Float[Tensor, "batch channel z y x"]:
        """The same as a dense tensor, channels last in memory."""
        volume = self.batch_size * self.spatial_shape[0] * self.spatial_shape[1] * self.spatial_shape[2]
        flat = self.features.new_zeros(volume, self.features.shape[1])
        flat.index_copy_(0, site_keys(self.indices, self.spatial_shape), self.features)
        return flat.view(self.batch_size, *self.spatial_shape, -1).permute(0, 4, 1, 2, 3)

    def _check_sites(self) -> None:
        indices, features = self.indices, self.features
        if indices.dtype != torch.int32:
            raise ValueError(f"sparse indices must be int32, got {indices.dtype}")
        if indices.ndim != 2 or indices.shape[1] != 4 or features.shape[:1] != indices.shape[:1]:
            raise ValueError(
                f"sparse indices must be (site, 4) beside (site, channel) features, "
                f"got {tuple(indices.shape)} beside {tuple(features.shape)}"
            )
        if not indices.is_contiguous():
            raise ValueError("sparse indices must be contiguous in memory; call .contiguous()")
        if indices.device != features.device:
            raise ValueError(f"sparse indices are on {indices.device}, features on {features.device}")
        if self.batch_size < 1 or min(self.spatial_shape) < 1:
            raise ValueError(f"empty grid: spatial shape {self.spatial_shape}, batch size {self.batch_size}")
        if len(indices) == 0:
            return
        limit = indices.new_tensor((self.batch_size, *self.spatial_shape))
        in_range = ((indices >= 0) & (indices < limit)).all()
        keys = site_keys(indices, self.spatial_shape)
        ascending = (keys[1:] > keys[:-1]).all()
        if bool(in_range & ascending):  # the usual case, one synchronisation on CUDA
            return
        if not bool(in_range):
            low, high = indices.amin(0).tolist(), indices.amax(0).tolist()
            raise ValueError(
                f"sparse indices [batch, z, y, x] run from {low} to {high}, outside the grid {limit.tolist()}"
            )
        keys = keys.sort().values
        if bool((keys[1:] == keys[:-1]).any()):
            raise ValueError(f"{int((keys[1:] == keys[:-1]).sum())} sparse sites are listed more than once")


def site_keys(indices: Int[Tensor, "site 4"], spatial_shape: tuple[int, int, int]) -> Int64[Tensor, "site"]:
    """Position of every site in the flattened (batch, z, y, x) grid."""
    batch, z, y, x = indices.long().unbind(1)
    return ((batch * spatial_shape[0] + z) * spatial_shape[1] + y) * spatial_shape[2] + x
