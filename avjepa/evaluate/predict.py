"""Running a model over a split, on the devices and processes of a trainer."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.evaluate.spool import Spool
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.progress import Advance, progress_bar


@dataclass(frozen=True)
class PredictedSplit:
    """What ``predict_split`` has written, and could not predict."""

    files: dict[str, Path]
    """By task."""
    without_input: tuple[str, ...]
    """Tokens of samples without data, known to the first process."""


def predict_split(
    trainer: Trainer,
    module: FinetuneModule,
    datamodule: DetectionDataModule,
    folder: Path,
    before_writing: Callable[[Iterable[Path]], None] = lambda files: None,
) -> PredictedSplit:
    """Write the predictions of every keyframe of the evaluated split as the official files of the model's tasks.

    To be called in every process of the trainer. Each predicts its share; the first writes the files, in the order of
    the split, so that they are the same whatever the number of processes.

    Args:
        trainer: says where and on how many processes.
        module: the model.
        datamodule: its ``eval_split`` is predicted. No annotation is read.
        folder: of the file; where there are several tasks each has a folder of its own below it.
        before_writing: called in the first process with the files that will be written, once all is predicted.

    Samples for which no sensor of the model had data, and keyframes of which nothing was recorded, get an empty
    prediction.
    """
    writers = {name: task.writer(datamodule.taxonomy) for name, task in module.tasks.items()}
    files = {
        name: (folder if len(writers) == 1 else folder / name) / writer.file_name for name, writer in writers.items()
    }
    spool = Spool(writers)
    keep = KeepPredictions(spool)
    trainer.callbacks.append(keep)  # type: ignore[attr-defined]
    try:
        trainer.predict(module, datamodule=datamodule, return_predictions=False)
    except SystemExit as stop:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from stop
    finally:
        trainer.callbacks.remove(keep)  # type: ignore[attr-defined]
    gathered = spool.gathered()
    without_input = gathered.without_input
    if trainer.is_global_zero:
        assert datamodule.source is not None  # it was set up to predict
        unrecorded = datamodule.source.unrecorded(datamodule.source.scenes_of(datamodule.eval_split))
        without_input += unrecorded
        before_writing(files.values())
        for name, writer in writers.items():
            writer.write(files[name], gathered.entries[name], [*gathered.tokens, *unrecorded], gathered.sensors)
    trainer.strategy.barrier("predictions written")
    return PredictedSplit(files, tuple(without_input))


class KeepPredictions(Callback):
    """Puts what one process predicts into a spool, and shows how far the first process is."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._bar = contextlib.ExitStack()
        self._advance: Advance = lambda count: None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the progress bar."""
        if trainer.is_global_zero:
            batches = int(sum(trainer.num_predict_batches))
            self._advance = self._bar.enter_context(progress_bar("predicting", batches))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of a batch."""
        assert isinstance(pl_module, FinetuneModule)
        self._spool.add(batch, outputs, pl_module.model.maps)
        self._advance(1)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Free the line of the progress bar."""
        self._bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """See ``on_predict_end``."""
        self._bar.close()
