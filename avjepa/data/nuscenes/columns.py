"""Columns of a table that grow batch by batch: millions of rows in the memory that their numbers need."""

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from avjepa.data.arrays import Array


class Columns:
    """Numeric columns by name, each in one buffer that grows in place: joining parts would take twice the memory."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytearray] = {}
        self._likes: dict[str, Array] = {}

    def extend(self, **columns: Array) -> None:
        """Append a batch, which may be empty; every batch has the same columns."""
        for name, values in columns.items():
            self._likes.setdefault(name, values[:0])
            self._bytes.setdefault(name, bytearray()).extend(np.ascontiguousarray(values).reshape(-1).view(np.uint8))

    def __getitem__(self, name: str) -> Array:
        like = self._likes[name]
        values: Array = np.frombuffer(self._bytes[name], like.dtype).reshape(-1, *like.shape[1:])
        return values

    def pop(self, name: str) -> Array:
        """A column that is needed for the last time."""
        values = self[name]
        del self._bytes[name]
        return values


class Texts:
    """A column of texts in one buffer."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends: list[Array] = []

    def extend(self, texts: Sequence[str]) -> None:
        """Append a batch."""
        joined = "".join(texts)
        encoded = joined.encode()
        lengths = map(len, texts) if len(encoded) == len(joined) else (len(text.encode()) for text in texts)
        self._ends.append(np.fromiter(lengths, np.int64, len(texts)).cumsum() + len(self._bytes))
        self._bytes.extend(encoded)

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

    def take(self, rows: Int64[Array, "chosen"]) -> list[bytes]:
        """Some of the texts, in UTF-8."""
        start = np.where(rows > 0, self.end[rows - 1], 0).tolist()
        return [bytes(self._bytes[a:b]) for a, b in zip(start, self.end[rows].tolist(), strict=True)]

    def __getitem__(self, row: int) -> str:
        return self.take(np.array([row]))[0].decode()


def keys_of(texts: Iterable[str], count: int) -> Int64[Array, "text"]:
    """A number for every text, equal for equal texts and 0 for the empty one, for joining tables of millions of rows.

    It is Python's hash, so it holds in this process only; 2.6 M tokens collide with probability 2e-7.
    """
    return np.fromiter(map(hash, texts), np.int64, count)


def rows_by_token(rows: dict[str, int], tokens: Iterable[str], count: int) -> Int32[Array, "token"]:
    """The row of every token; -1 for a token that has none."""
    return np.fromiter(map(rows.get, tokens, repeat(-1)), np.int32, count)


def rows_of(keys: Int64[Array, "row"], wanted: Int64[Array, "wanted"]) -> Int64[Array, "wanted"]:
    """The first row of every wanted key; -1 for a key that no row has."""
    # A table by the last bits of the keys is several times as fast as sorting; some keys find their place taken.
    mask = (1 << (2 * len(keys)).bit_length()) - 1
    place = keys & mask
    row_at = np.full(mask + 1, -1, np.int32)
    row_at[place[::-1]] = np.arange(len(keys) - 1, -1, -1, np.int32)  # of two the first one, which is written last
    rows: Array = row_at[wanted & mask].astype(np.int64)
    found = rows >= 0
    found[found] = keys[rows[found]] == wanted[found]
    rows[~found] = -1
    (displaced,) = np.nonzero(keys[row_at[place]] != keys)
    (left,) = np.nonzero(~found)
    row = _rows_by_order(keys[displaced], wanted[left])
    rows[left[row >= 0]] = displaced[row[row >= 0]]
    return rows


def _rows_by_order(keys: Int64[Array, "row"], wanted: Int64[Array, "wanted"]) -> Int64[Array, "wanted"]:
    rows = np.full(len(wanted), -1, np.int64)
    if len(keys):
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        position = np.minimum(np.searchsorted(ordered, wanted), len(keys) - 1)
        rows = np.where(ordered[position] == wanted, order[position], -1)
    return rows


def missing_rows(keys: Int64[Array, "row"], wanted: Int64[Array, "wanted"]) -> Int64[Array, "missing"]:
    """Rows of ``wanted`` whose key is neither 0 nor one of the keys."""
    missing: Array = np.flatnonzero((rows_of(keys, wanted) < 0) & (wanted != 0))
    return missing


def repeated_rows(keys: Int64[Array, "row"]) -> Int64[Array, "repeated"]:
    """Rows whose key an earlier row has."""
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(0, np.int64)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    repeated: Array = np.sort(order[1:][ordered[1:] == ordered[:-1]])
    return repeated


def fixed_width(texts: list[bytes]) -> UInt8[Array, "text byte"]:
    """Texts as rows of bytes, padded with zeros: numpy's fixed-width strings in a type that the cache can hold."""
    packed = np.array(texts or [b"-"], dtype=bytes)
    return packed.view(np.uint8).reshape(len(packed), -1)[: len(texts)]
