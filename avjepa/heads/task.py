"""The contract of a task: a head, the official file that its predictions go into, and the score of that file.

A task is named in YAML and nowhere else: adding one touches no file that is there. Channels and grid of its head follow
from the backbone and the neck.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from torch import nn

from avjepa.data.protocol import DrivingDataset
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.base import Head, Prediction

METRICS = "metrics.json"
"""The file of a task's scores, beside the official file of its predictions."""


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def require_task_names(names: Iterable[str]) -> None:
    """Raise for a name that cannot name a head, a folder and a curve.

    Raises:
        UserError: naming it.
    """
    taken = nn.ModuleDict()
    for name in names:
        if not _NAME.fullmatch(name) or hasattr(taken, name):
            raise UserError(
                f"model.tasks: {name!r:.80} cannot be a task's name; use another one of letters, digits, '_' and '-'"
            )


class PredictionWriter(ABC, Generic[Prediction]):
    """Turns predictions into the task's official file.

    Attributes:
        file_name: of that file, within the folder of an evaluation.
    """

    file_name: str

    @abstractmethod
    def entries(self, batch: Batch, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """What the file holds for each sample of a batch, by token, as plain values that JSON holds."""

    @abstractmethod
    def write(self, path: Path, entries: Mapping[str, bytes], tokens: Sequence[str], sensors: Sequence[str]) -> None:
        """Write the file, whole or not at all.

        Args:
            path: replaced if it is there.
            entries: by token, as JSON; each is read from disk when it is asked for.
            tokens: every sample that the file lists, in this order; those without an entry are listed empty.
            sensors: of ``lidar``, ``camera``, ``radar``: what the predictions were made from.
        """


@dataclass(frozen=True)
class ScoredSplit:
    """What predictions are scored on."""

    source: DrivingDataset
    split: str
    without_input: tuple[str, ...] = ()
    """Samples for which none of the model's sensors had data; their predictions are empty, which the scorer says."""


class Scorer(ABC):
    """Scores a task's official file against the annotations of a split."""

    @abstractmethod
    def score(self, predictions: Path, split: ScoredSplit, out: Path, fast: bool = False) -> Path | None:
        """Print the scores and write ``METRICS`` into ``out``; where nothing is annotated, say so and write none.

        Args:
            predictions: the official file.
            split: what it is scored on.
            out: folder for ``METRICS``.
            fast: score with code of our own that gives the official program's numbers, rather than with that program.

        Returns:
            The path of ``METRICS``, or ``None``.

        Raises:
            UserError: a file is missing or not in its format, or the samples are not those of the split.
        """

    def figures(self, predictions: Path, split: ScoredSplit) -> dict[str, float]:
        """The main scores by name, for a curve over the training; none where nothing is annotated, or by default.

        Arguments and errors are those of ``score``. Nothing is printed or written, and it takes seconds at most.
        """
        return {}


class Task(ABC, Generic[Prediction]):
    """What a head is for.

    Attributes:
        loss_weight: of the head's loss among those of the other tasks.
    """

    loss_weight: float

    @abstractmethod
    def build_head(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> Head[Prediction]:
        """The head for a map of so many channels on a grid and for the classes of a taxonomy, with new weights."""

    @abstractmethod
    def writer(self, taxonomy: Taxonomy) -> PredictionWriter[Prediction]:
        """Of the official file, with the classes' names."""

    @abstractmethod
    def scorer(self) -> Scorer:
        """Of the official file."""
