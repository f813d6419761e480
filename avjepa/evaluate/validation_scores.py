"""Scores during a training, beside the loss on the validation split."""

import tempfile
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.evaluate.spool import Spool
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.heads.task import ScoredSplit


class ValidationScores(Callback):
    """Logs the scores of every validation as ``val/TASK/NAME``, e.g. ``val/detection/mAP``.

    They are those that an evaluation of the split with the weights of that step would give, by the scorers' own fast
    code (``Scorer.figures``). All processes predict their share; the first one scores. The network runs once for loss
    and predictions together.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ask the module for predictions."""
        assert isinstance(pl_module, FinetuneModule)
        pl_module.predicts_in_validation = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new spool."""
        assert isinstance(pl_module, FinetuneModule)
        data = _data_of(trainer)
        self._writers = {name: task.writer(data.taxonomy) for name, task in pl_module.tasks.items()}
        self._spool = Spool(self._writers)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of a batch."""
        self._spool.add(batch, outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score what all processes predicted."""
        assert isinstance(pl_module, FinetuneModule)
        gathered = self._spool.gathered()
        if not trainer.is_global_zero:
            return
        data = _data_of(trainer)
        assert data.source is not None and data.validation_split is not None
        unrecorded = data.source.unrecorded(data.source.scenes_of(data.validation_split))
        split = ScoredSplit(data.source, data.validation_split, (*gathered.without_input, *unrecorded))
        with tempfile.TemporaryDirectory(prefix="avjepa-validation-") as folder:
            for name, writer in self._writers.items():
                file = Path(folder) / name / writer.file_name
                writer.write(file, gathered.entries[name], [*gathered.tokens, *unrecorded], gathered.sensors)
                for figure, value in pl_module.tasks[name].scorer().figures(file, split).items():
                    pl_module.log(f"val/{name}/{figure}", value, rank_zero_only=True)


def _data_of(trainer: Trainer) -> DetectionDataModule:
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, DetectionDataModule)
    return data
