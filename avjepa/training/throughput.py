"""How fast training goes and what it waits for."""

import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from avjepa.processes import peak_resident_bytes
from avjepa.training.cadence import StepCadence, log_measures
from avjepa.training.checkpoints import TrainingCheckpoint


def peak_memory_gib(device: torch.device) -> float:
    """Largest memory so far in GiB: allocated on the accelerator, or resident in this process for the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return peak_resident_bytes() / 2**30


class Throughput(Callback):
    """Logs ``samples_per_second``, ``data_wait_share`` and ``peak_memory_gib``, means since the last row.

    Samples are counted over all processes. Waiting for data is the time between two batches: fetching, collating and
    moving to the device; writing checkpoints and validation are in neither figure.

    Args:
        every_n_steps: optimiser steps between two rows.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self._turn = StepCadence(every_n_steps)
        self._batch_ended: float | None = None
        self._written = 0.0
        self._waited = self._worked = 0.0
        self._samples = 0
        self._batch_started = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._turn.start(trainer.global_step)
        self._batch_ended = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Close the waiting time."""
        self._batch_started = time.monotonic()
        if self._batch_ended is not None:
            written = self._seconds_writing(trainer)
            self._waited += max(0.0, self._batch_started - self._batch_ended - (written - self._written))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Close the working time and, when its turn has come, log."""
        now = time.monotonic()
        self._worked += now - self._batch_started
        self._samples += len(batch)
        self._batch_ended, self._written = now, self._seconds_writing(trainer)
        if not self._turn(trainer.global_step):
            return
        elapsed = self._waited + self._worked
        measures = {
            "samples_per_second": self._samples * trainer.world_size / elapsed,
            "data_wait_share": self._waited / elapsed,
            "peak_memory_gib": peak_memory_gib(pl_module.device),
        }
        log_measures(trainer, measures)
        self._waited = self._worked = 0.0
        self._samples = 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is not waiting."""
        self._batch_ended = None

    def _seconds_writing(self, trainer: Trainer) -> float:
        return sum(
            callback.seconds_writing
            for callback in trainer.checkpoint_callbacks
            if isinstance(callback, TrainingCheckpoint)
        )
