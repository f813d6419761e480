"""Checkpoints that are whole or absent, that never execute code, and from which a run resumes exactly."""

import pickle
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from avjepa.errors import BadFileError, UserError
from avjepa.files import replacing
from avjepa.training.checkpoint_contents import require_model
from avjepa.training.console import status
from avjepa.training.finite import require_finite_weights

LAST = "last.ckpt"


def read_tensors(path: str | Path) -> dict[str, Any]:
    """Read what ``torch.save`` wrote onto the CPU with ``weights_only=True``: data only, no code is ever executed.

    Raises:
        UserError: the file is missing, damaged, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint {path}: no such file; give the path of a .ckpt file, or 'last'")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of the pickle protocol of files that are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path}: refused, it is damaged or holds more than tensors and plain values, which could "
            "execute code; use a checkpoint written by avjepa"
        ) from error
    except Exception as error:  # arbitrary bytes make the unpickler fail in arbitrary ways
        raise UserError(f"checkpoint {path}: damaged or no checkpoint; use another one") from error
    if not isinstance(content, dict):
        raise UserError(f"checkpoint {path}: holds a {type(content).__name__} and no model; use another one")
    return content


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of a training run, safely.

    Raises:
        UserError: see ``read_tensors`` and ``require_model``.
    """
    content = read_tensors(path)
    require_model(content, path)
    return content


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's plugin for reading and writing checkpoints, made safe.

    Writes beside the final name and renames, so a full disk or a killed process leaves the previous checkpoint as it
    was. Reads tensors and plain values only, whatever the caller asks for.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint atomically.

        Raises:
            UserError: it could not be written; the previous checkpoint, if there is one, is untouched.
        """
        try:
            with replacing(path) as temporary:
                torch.save(checkpoint, temporary)
        except (OSError, RuntimeError) as error:
            # torch's zip writer turns a failed write into a RuntimeError of several lines
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "writing failed (disk full?)"
            remedy = (
                "the previous checkpoint is intact: free some space and resume with --ckpt_path last"
                if Path(path).is_file()
                else "there is no earlier one: free some space and start again"
            )
            raise UserError(f"checkpoint {path}: {reason}; {remedy}") from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """``read_tensors``; the other arguments are Lightning's and have no say.

        Lightning also passes bare weights from process to process through a file.
        """
        content = read_tensors(path)
        if not all(isinstance(value, torch.Tensor) for value in content.values()):
            require_model(content, path)
        return content


def last_checkpoint(directory: str | Path) -> Path | None:
    """The checkpoint that ``TrainingCheckpoint(directory)`` wrote last; ``None``, with a notice, if there is none."""
    path = Path(directory) / LAST
    if path.is_file():
        return path
    status(f"no checkpoint in {directory}: training starts from the beginning")
    return None


class TrainingCheckpoint(ModelCheckpoint):
    """Writes ``last.ckpt`` after every so many optimiser steps and at the end.

    A checkpoint is written only on the boundary between two optimiser steps: in the middle of gradient accumulation
    there are gradients that no checkpoint holds, and a run resumed from there would differ from one that went on.

    Args:
        dirpath: folder of ``last.ckpt``.
        every_n_steps: optimiser steps between two checkpoints.
    """

    def __init__(self, dirpath: str, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise UserError(f"checkpoint every_n_steps must be at least 1, got {every_n_steps}")
        super().__init__(
            dirpath=dirpath,
            save_last=True,
            save_top_k=0,
            every_n_train_steps=every_n_steps,
            enable_version_counter=False,
        )
        self.every_n_steps = every_n_steps
        self.seconds_writing = 0.0
        """Time spent so far, which is not time spent waiting for data."""
        self._saved_step = 0
        self._seen_step = 0
        self._between_steps = False

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the folder alone says which checkpoint is the last, also after it was moved."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed run has its first step in ``last.ckpt`` already."""
        super().on_train_start(trainer, pl_module)
        self._saved_step = self._seen_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if this batch completed an optimiser step whose turn it is."""
        self._between_steps = trainer.global_step > self._seen_step
        self._seen_step = trainer.global_step
        if trainer.global_step % self.every_n_steps == 0:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Steps are what counts here, not epochs."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Steps are what counts here, not validations."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state."""
        self._save(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """An exception may come in the middle of a step: nothing is saved, but the user is told what there is."""
        if self._saved_step and isinstance(exception, KeyboardInterrupt | BadFileError):
            goes_on = "" if isinstance(exception, KeyboardInterrupt) else "; --ckpt_path last goes on from it"
            status(f"stopped at step {trainer.global_step}; the last checkpoint is of step {self._saved_step}{goes_on}")

    def _save(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._between_steps or trainer.global_step == self._saved_step:
            return
        started = time.monotonic()
        require_finite_weights(pl_module, trainer.global_step)
        self.last_model_path = str(Path(str(self.dirpath)) / LAST)
        trainer.save_checkpoint(self.last_model_path, weights_only=False)
        self._saved_step = trainer.global_step
        self.seconds_writing += time.monotonic() - started
