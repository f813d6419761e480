"""The loss of a training's last step, also where the training was over when its process was killed."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

METRIC = "train/loss"


class LastLoss(Callback):
    """Keeps the last loss, in the checkpoint too: a run that resumes from its last checkpoint takes no further step.

    Attributes:
        value: after training; ``None`` where the checkpoint does not tell.
    """

    def __init__(self) -> None:
        self.value: float | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write it into the checkpoint."""
        if METRIC in trainer.callback_metrics:
            checkpoint["last_loss"] = float(trainer.callback_metrics[METRIC])

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take it from the checkpoint."""
        self.value = checkpoint.get("last_loss")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take it from the last step."""
        self.value = float(trainer.callback_metrics[METRIC])
