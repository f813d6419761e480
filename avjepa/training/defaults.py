"""The callbacks, loggers and plugins that every training run has."""

from pathlib import Path

from lightning import Callback
from lightning.pytorch.loggers import Logger

from avjepa.training.batch_norm import SynchroniseBatchNorms
from avjepa.training.checkpoints import AtomicCheckpointIO, TrainingCheckpoint
from avjepa.training.end_together import EndTogether
from avjepa.training.event_files import EventFiles
from avjepa.training.metrics import MetricsFile
from avjepa.training.progress import StepProgress
from avjepa.training.throughput import Throughput

CHECKPOINTS = "checkpoints"


def default_callbacks(run_directory: str | Path, checkpoint_every_n_steps: int = 500) -> list[Callback]:
    """Checkpoints in ``checkpoints/``, what several processes need, a progress bar, speed and memory."""
    return [
        EndTogether(),
        SynchroniseBatchNorms(),
        TrainingCheckpoint(str(Path(run_directory) / CHECKPOINTS), checkpoint_every_n_steps),
        StepProgress(),
        Throughput(),
    ]


def default_loggers(run_directory: str | Path) -> list[Logger]:
    """``metrics.csv`` and TensorBoard event files, both continued by a resumed run."""
    return [MetricsFile(str(run_directory)), EventFiles(str(run_directory))]


def default_plugins() -> list[AtomicCheckpointIO]:
    """Safe reading and writing of checkpoints."""
    return [AtomicCheckpointIO()]
