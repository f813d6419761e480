"""Writing a training run's provenance beside its checkpoints."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from avjepa.provenance import FILE_NAME, write_provenance

PROVENANCE = "provenance"
"""The key of a checkpoint under which it lies."""


class RecordProvenance(Callback):
    """Writes ``provenance.json`` when training starts and again, with steps and seconds, when it ends.

    Args:
        directory: the run's folder.
        provenance: gives ``avjepa.provenance.provenance``; asked in the first process alone.
    """

    def __init__(self, directory: str | Path, provenance: Callable[[], Mapping[str, Any]]) -> None:
        self.directory = Path(directory)
        self.provenance = provenance
        self._started = 0.0
        self._seconds_before = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The run is not finished yet, and says so."""
        self._started = time.monotonic()
        if trainer.is_global_zero:
            write_provenance(self.directory, self.provenance(), **self._result(trainer, finished=False))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The run is finished."""
        if trainer.is_global_zero:
            write_provenance(self.directory, self.provenance(), **self._result(trainer, finished=True))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note in the checkpoint what it was made with, for whoever resumes it."""
        if trainer.is_global_zero:
            checkpoint[PROVENANCE] = {**self.provenance(), "processes": trainer.world_size}

    def _result(self, trainer: Trainer, finished: bool) -> dict[str, Any]:
        seconds = self._seconds_before + time.monotonic() - self._started
        return {
            "finished": finished,
            "steps": trainer.global_step,
            "processes": trainer.world_size,
            "precision": str(trainer.precision),
            "wall_seconds": round(seconds, 2),
        }

    def state_dict(self) -> dict[str, Any]:
        """Time spent so far, for a resumed run to go on counting."""
        return {"wall_seconds": self._seconds_before + time.monotonic() - self._started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self._seconds_before = state_dict["wall_seconds"]


def read_provenance(directory: str | Path) -> dict[str, Any]:
    """``provenance.json`` of a run; empty where there is none."""
    path = Path(directory) / FILE_NAME
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
