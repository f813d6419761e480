"""A process that fails takes those that it trains with along."""

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from avjepa.ending import end_together


class EndTogether(Callback):
    """Has all processes of a trainer end when one of them does, within seconds and with one line."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Where several processes have found each other."""
        if trainer.world_size > 1 and dist.is_initialized():
            store = dist.distributed_c10d._get_default_store()
            end_together(store, dist.get_rank(), dist.get_world_size())
