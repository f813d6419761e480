"""TensorBoard's event files, with errors that a user can read."""

import threading
from collections.abc import Mapping
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger

from avjepa.files import naming


class EventFiles(TensorBoardLogger):
    """Lightning's logger; an error of writing names the folder.

    The files are written by a thread. An error there is raised again where the next event is handed over, so the
    thread's own traceback is kept off the screen.

    Args:
        directory: the run's folder; the files lie in ``tensorboard`` below it.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(directory, name="tensorboard", version="", default_hp_metric=False)
        if threading.excepthook is not _except_of_writers:
            threading.excepthook = _except_of_writers

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made when it is asked for first."""
        with naming(self.log_dir):
            return super().experiment

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hand metrics to the writer."""
        with naming(self.log_dir):
            super().log_metrics(metrics, step)

    def save(self) -> None:
        """Wait until what was handed over is written."""
        with naming(self.log_dir):
            super().save()

    def finalize(self, status: str) -> None:
        """Close the files."""
        with naming(self.log_dir):
            super().finalize(status)


_except_of_threads = threading.excepthook


def _except_of_writers(arguments: threading.ExceptHookArgs) -> None:
    is_writer = type(arguments.thread).__module__.startswith("tensorboard.")
    if not (is_writer and isinstance(arguments.exc_value, OSError)):
        _except_of_threads(arguments)
