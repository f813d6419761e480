"""A run's provenance says whether it finished, and counts the time of all its parts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from avjepa.training.provenance import RecordProvenance, read_provenance
from tests.pretrain.toy_training import train


class Stop(Callback):
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 4:
            raise RuntimeError("stop")


def test_interrupted_and_resumed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        train(tmp_path, steps=6, every=2, callbacks=[RecordProvenance(tmp_path, lambda: {"seed": 3}), Stop()])
    first = read_provenance(tmp_path)
    assert (first["finished"], first["steps"], first["seed"]) == (False, 0, 3)

    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["callbacks"]["RecordProvenance"]["wall_seconds"] > 0
    checkpoint["callbacks"]["RecordProvenance"]["wall_seconds"] = 5000.0  # as if the first part had taken so long
    torch.save(checkpoint, path)

    train(tmp_path, steps=6, every=2, callbacks=[RecordProvenance(tmp_path, lambda: {"seed": 3})])
    second = read_provenance(tmp_path)
    assert (second["finished"], second["steps"], second["processes"]) == (True, 6, 1)
    assert 5000 < second["wall_seconds"] < 6000


def test_a_folder_without_provenance_has_none(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) == {}
