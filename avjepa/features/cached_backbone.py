"""A frozen backbone of which only the maps are left."""

import torch

from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVBackbone, BEVMap
from avjepa.features.store import FeatureStore


class CachedBackbone(BEVBackbone):
    """Looks maps up instead of computing them. Has no parameters.

    Args:
        folder: of a ``FeatureStore`` that holds every sample that will be asked for.
        digest: of its key.

    Raises:
        UserError: as for ``FeatureStore``.
    """

    def __init__(self, folder: str, digest: str) -> None:
        super().__init__()
        self.store = FeatureStore(folder, digest)
        self.token_grid, self.out_channels = self.store.token_grid, self.store.out_channels

    def forward(self, batch: Batch) -> BEVMap:
        """The maps of the batch's samples. What was observed is not kept: nowhere."""
        device = batch.bev_from_level.device
        nowhere = torch.zeros(len(batch), *self.token_grid.shape, dtype=torch.bool, device=device)
        return BEVMap(self.store.maps(batch).to(device), nowhere)
