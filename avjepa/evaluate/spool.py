"""Predictions of many batches, kept in a file until they are gathered from all processes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from avjepa.data.sample import Batch
from avjepa.distributed import in_turn_on_first
from avjepa.heads.task import PredictionWriter


@dataclass(frozen=True)
class GatheredPredictions:
    """What all processes predicted; empty on all but the first."""

    tokens: list[str]
    """Of every sample, in the order of the data."""
    without_input: list[str]
    """Samples without data of any sensor."""
    sensors: list[str]
    """What the predictions were made from."""
    entries: dict[str, dict[str, Any]]
    """Of the official files: by task and token."""


class Spool:
    """Keeps what one process predicts in a file, a line for every batch, so that memory does not grow with the split.

    Args:
        file: open for writing and reading.
        writers: of the files that the predictions will go into, by task.
    """

    def __init__(self, file: Any, writers: dict[str, PredictionWriter[Any]]) -> None:
        self._file, self._writers = file, writers
        self._batches = 0

    def add(self, batch: Batch, predictions: dict[str, Any] | None) -> None:
        """Keep the predictions of a batch, by task; ``None`` where no sample of it has data."""
        without = [token for token, has in zip(batch.tokens, batch.has_data(), strict=True) if not has]
        if predictions is None:
            entries: dict[str, dict[str, Any]] = {name: {} for name in self._writers}
        else:
            entries = {name: writer.entries(batch, predictions[name]) for name, writer in self._writers.items()}
            without = without if batch.sensors else []  # predicted from features that were computed before
        for of_task in entries.values():
            for token in without:
                of_task.pop(token, None)
        line = {"tokens": batch.tokens, "sensors": batch.sensors, "without_input": without, "entries": entries}
        self._file.write(json.dumps(line) + "\n")
        self._batches += 1

    def gathered(self) -> GatheredPredictions:
        """To be called in every process: what all of them kept, on the first."""
        tokens: dict[str, None] = {}  # where there are fewer batches than processes, several may predict the same
        without_input: dict[str, None] = {}
        sensors: set[str] = set()
        entries: dict[str, dict[str, Any]] = {name: {} for name in self._writers}
        for line in in_turn_on_first(self._lines(), self._batches):
            of_batch = json.loads(line)
            tokens |= dict.fromkeys(of_batch["tokens"])
            without_input |= dict.fromkeys(of_batch["without_input"])
            sensors |= set(of_batch["sensors"])
            for name in self._writers:
                entries[name] |= of_batch["entries"][name]
        return GatheredPredictions(list(tokens), list(without_input), sorted(sensors), entries)

    def _lines(self) -> Iterator[str]:
        """The batches in the order in which they were predicted, as JSON."""
        self._file.seek(0)
        yield from self._file
