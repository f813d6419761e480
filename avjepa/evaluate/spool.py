"""Predictions of many batches, kept in files, so that memory does not grow with the split, and gathered from all
processes."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from avjepa.data.sample import Batch
from avjepa.distributed import in_turn_on_first
from avjepa.features.store import FeatureStore
from avjepa.heads.task import PredictionWriter


class StoredTexts(Mapping[str, bytes]):
    """Texts by name, in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it goes with the object
        self._place: dict[str, tuple[int, int]] = {}
        self._end = 0

    def add(self, name: str, text: bytes) -> None:
        """Keep a text; of two of one name the last counts."""
        self._file.seek(self._end)
        self._file.write(text)
        self._place[name] = self._end, len(text)
        self._end += len(text)

    def __getitem__(self, name: str) -> bytes:
        start, length = self._place[name]
        self._file.seek(start)
        return self._file.read(length)

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)


class GatheredPredictions:
    """What all processes predicted; empty on all but the first.

    Attributes:
        entries: of the official files, as JSON: by task and token.
    """

    def __init__(self, tasks: Mapping[str, object]) -> None:
        # where there are fewer batches than processes, several may predict the same
        self._tokens: dict[str, None] = {}
        self._without_input: dict[str, None] = {}
        self._sensors: set[str] = set()
        self.entries = {name: StoredTexts() for name in tasks}

    @property
    def tokens(self) -> list[str]:
        """Of every sample, in the order of the data."""
        return list(self._tokens)

    @property
    def without_input(self) -> list[str]:
        """Samples without data of any sensor."""
        return list(self._without_input)

    @property
    def sensors(self) -> list[str]:
        """What the predictions were made from."""
        return sorted(self._sensors)

    def add(self, batch: "_OfBatch") -> None:
        """Take in what was predicted of a batch."""
        self._tokens |= dict.fromkeys(batch.tokens)
        self._without_input |= dict.fromkeys(batch.without_input)
        self._sensors |= set(batch.sensors)
        for name, of_task in batch.entries.items():
            for token, text in of_task.items():
                self.entries[name].add(token, bytes(text))


class _OfBatch(msgspec.Struct):
    tokens: list[str]
    sensors: list[str]
    without_input: list[str]
    entries: dict[str, dict[str, msgspec.Raw]]


class Spool:
    """Keeps what one process predicts in a file, a line for every batch.

    Args:
        writers: of the files that the predictions will go into, by task.
    """

    def __init__(self, writers: Mapping[str, PredictionWriter[Any]]) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # it goes with the object
        self._writers = writers
        self._batches = 0

    def add(self, batch: Batch, predictions: dict[str, Any] | None, maps: FeatureStore | None = None) -> None:
        """Keep the predictions of a batch.

        Args:
            batch: what was predicted.
            predictions: by task; ``None`` where no sample has data.
            maps: what they were predicted from, where not from the sensors' data.
        """
        if maps is None:
            sensors: Sequence[str] = batch.sensors
            without = [token for token, has in zip(batch.tokens, batch.has_data(), strict=True) if not has]
        else:
            sensors, without = maps.sensors, maps.without_data(batch)
        if predictions is None:
            entries: dict[str, dict[str, Any]] = {name: {} for name in self._writers}
        else:
            entries = {name: writer.entries(batch, predictions[name]) for name, writer in self._writers.items()}
        for of_task in entries.values():
            for token in without:
                of_task.pop(token, None)
        line = {"tokens": batch.tokens, "sensors": sensors, "without_input": without, "entries": entries}
        self._file.write(json.dumps(line) + "\n")
        self._batches += 1

    def gathered(self) -> GatheredPredictions:
        """To be called in every process, at the end: what all of them kept, on the first."""
        everything = GatheredPredictions(self._writers)
        decoder = msgspec.json.Decoder(_OfBatch)
        for line in in_turn_on_first(self._lines(), self._batches):
            everything.add(decoder.decode(line))
        self._file.close()
        return everything

    def _lines(self) -> Iterator[str]:
        """The batches in the order in which they were predicted, as JSON."""
        self._file.seek(0)
        yield from self._file
