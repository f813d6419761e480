"""Columns of a table that grow batch by batch: millions of rows in the memory that their numbers need."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64, UInt8

from avjepa.data.arrays import Array


class Columns:
    """Numeric columns by name."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}

    def extend(self, **columns: Array) -> None:
        """Append a batch, which may be empty; every batch has the same columns."""
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(values)

    def __getitem__(self, name: str) -> Array:
        parts = self._parts[name]
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    def pop(self, name: str) -> Array:
        """A column that is needed for the last time."""
        values = self[name]
        del self._parts[name]
        return values


class Texts:
    """A column of texts in one buffer."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends: list[Array] = []

    def extend(self, texts: Iterable[str]) -> None:
        """Append a batch."""
        encoded = [text.encode() for text in texts]
        self._ends.append(np.fromiter(map(len, encoded), np.int64, len(encoded)).cumsum() + len(self._bytes))
        self._bytes.extend(b"".join(encoded))

    @property
    def end(self) -> Int64[Array, "text"]:
        """Where every text ends in ``packed``."""
        if len(self._ends) != 1:
            self._ends = [np.concatenate((np.zeros(0, np.int64), *self._ends))]
        end: Array = self._ends[0]
        return end

    @property
    def start(self) -> Int64[Array, "text"]:
        """Where every text starts in ``packed``."""
        start: Array = np.concatenate((np.zeros(1, np.int64), self.end[:-1]))[: len(self.end)]
        return start

    @property
    def packed(self) -> UInt8[Array, "byte"]:
        """All texts, one after the other, in UTF-8."""
        return np.frombuffer(self._bytes, np.uint8)

    def __getitem__(self, row: int) -> str:
        return self._bytes[self.end[row - 1] if row else 0 : self.end[row]].decode()


def keys_of(texts: Sequence[str]) -> Int64[Array, "text"]:
    """A number for every text, equal for equal texts and 0 for the empty one, for joining tables of millions of rows.

    It is Python's hash, so it holds in this process only; 2.6 M tokens collide with probability 2e-7.
    """
    return np.fromiter(map(hash, texts), np.int64, len(texts))


def rows_of(keys: Int64[Array, "row"], wanted: Int64[Array, "wanted"]) -> Int64[Array, "wanted"]:
    """The first row of every wanted key; -1 for a key that no row has."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(keys, kind="stable")
    position = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    rows = order[position]
    matched: Array = np.where(keys[rows] == wanted, rows, -1)
    return matched


def repeated_rows(keys: Int64[Array, "row"]) -> Int64[Array, "repeated"]:
    """Rows whose key an earlier row has."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    repeated: Array = np.sort(order[1:][ordered[1:] == ordered[:-1]])
    return repeated


def fixed_width(texts: list[bytes]) -> UInt8[Array, "text byte"]:
    """Texts as rows of bytes, padded with zeros: numpy's fixed-width strings in a type that the cache can hold."""
    packed = np.array(texts or [b"-"], dtype=bytes)
    return packed.view(np.uint8).reshape(len(packed), -1)[: len(texts)]
