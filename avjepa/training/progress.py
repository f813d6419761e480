"""One line that says how far the training is."""

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as RemainingColumn

from avjepa.training.console import status

SECONDS_BETWEEN_LINES = 30.0
"""Where stderr is no terminal a line is written now and then instead of a bar."""


class StepProgress(ProgressBar):
    """A progress bar over optimiser steps, with every metric that was logged with ``prog_bar=True``.

    A resumed run starts where it stopped.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._line_written = 0.0
        self._steps_shown = 0

    def enable(self) -> None:
        """Lightning shows the bar in the first process only."""
        self._enabled = True

    def disable(self) -> None:
        """See ``enable``."""
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        self._line_written = time.monotonic()
        self._steps_shown = trainer.global_step
        console = Console(stderr=True)
        if not self._enabled or not console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            RemainingColumn(), TextColumn("{task.fields[figures]}"), console=console,
        )  # fmt: skip
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self._task = self._bar.add_task("training", total=total, completed=trainer.global_step, figures="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar to the step."""
        if trainer.global_step == self._steps_shown:
            return
        self._steps_shown = trainer.global_step
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step, figures=self.figures(trainer, pl_module))
        elif self._enabled and time.monotonic() - self._line_written > SECONDS_BETWEEN_LINES:
            self._line_written = time.monotonic()
            status(f"step {trainer.global_step}/{trainer.max_steps} {self.figures(trainer, pl_module)}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line of its own, above the bar: a validation is rare, and worth keeping in sight."""
        loss = trainer.callback_metrics.get("val/loss")
        if self._enabled and loss is not None:
            status(f"step {trainer.global_step}: validation loss {float(loss):.4g}")

    def figures(self, trainer: Trainer, pl_module: LightningModule) -> str:
        """The metrics behind the bar."""
        metrics = self.get_metrics(trainer, pl_module)
        shown = {name.rsplit("/", 1)[-1]: value for name, value in metrics.items() if isinstance(value, int | float)}
        return " ".join(f"{name} {value:.4g}" for name, value in shown.items())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last state of the bar on the screen."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Free the line, so that the error stands below it."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
