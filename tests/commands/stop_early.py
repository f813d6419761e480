"""A callback that interrupts training as Ctrl-C does."""

from typing import Any

from lightning import Callback, LightningModule, Trainer


class StopAfter(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.steps:
            raise KeyboardInterrupt
