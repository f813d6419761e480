"""Point cloud files of the PCD format, 0.7: header, and points as binary, compressed or text
(https://pointclouds.org/documentation/tutorials/pcd_file_format.html)."""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import UInt8

from avjepa.data.arrays import Array
from avjepa.errors import BadFileError

_LAST_LINE = b"\nDATA "
"""Where the last line of a header begins."""
_LONGEST_HEADER = 4096  # bytes
_KINDS = {"F": "f", "I": "i", "U": "u"}


@dataclass(frozen=True)
class PcdHeader:
    """What the header says.

    Args:
        record: type of a point: a field for each name, one after the other.
        count: number of points.
        encoding: ``binary``, ``binary_compressed`` or ``ascii``.
        length: bytes of the header.
    """

    record: "np.dtype[Any]"
    count: int
    encoding: str
    length: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the fields."""
        return self.record.names or ()


def is_pcd(content: UInt8[Array, "byte"]) -> bool:
    """Whether a file is of this format: read as numbers, none of its beginnings is one that a sensor measures."""
    return content[:8].tobytes().startswith((b"# .PCD", b"VERSION "))


def read_header(path: str | os.PathLike[str], content: UInt8[Array, "byte"]) -> PcdHeader:
    """The header of a file that holds ``content``.

    Raises:
        BadFileError: there is none, or it cannot be understood.
    """
    head = content[:_LONGEST_HEADER].tobytes()
    start = head.find(_LAST_LINE)
    end = head.find(b"\n", start + len(_LAST_LINE)) + 1
    if start < 0 or end == 0:
        raise BadFileError(path, "the header of a point cloud file (a line 'DATA binary') is not there")
    try:
        return _parsed(head[:end])
    except ValueError as error:
        raise BadFileError(path, str(error)) from None


def read_points(path: str | os.PathLike[str], content: UInt8[Array, "byte"], header: PcdHeader) -> Array:
    """The points of a file: an array of ``header.record``, which may share memory with ``content``.

    Bytes after the last point are ignored.

    Raises:
        BadFileError: the file is truncated or damaged.
    """
    data = content[header.length :]
    if header.encoding == "ascii":
        return _of_text(path, data.tobytes(), header)
    needed = header.count * header.record.itemsize
    if header.encoding == "binary_compressed":
        return _of_columns(_decompressed(path, data, needed), header)
    if len(data) < needed:
        raise BadFileError(path, f"truncated: {len(data)} bytes after the header, {header.count} points need {needed}")
    return np.frombuffer(data, header.record, header.count)


@lru_cache(maxsize=1024)
def _parsed(head: bytes) -> PcdHeader:
    """Raises ``ValueError`` that says what is wrong with the header."""
    lines = (line.split() for line in head.decode("latin-1").splitlines())
    entries = {line[0]: line[1:] for line in lines if line}
    try:
        names, types, sizes = entries["FIELDS"], entries["TYPE"], entries["SIZE"]
        width, height = int(entries["WIDTH"][0]), int(entries["HEIGHT"][0])
        (encoding,) = entries["DATA"]
        if encoding not in ("binary", "binary_compressed", "ascii") or set(entries["COUNT"]) != {"1"}:
            raise ValueError("DATA is not binary, binary_compressed or ascii, or a COUNT is not 1")
        record = np.dtype([(n, f"<{_KINDS[t]}{s}") for n, t, s in zip(names, types, sizes, strict=True)])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"the header cannot be understood ({error})") from None
    if width < 0 or height < 0:
        raise ValueError(f"the header says {width} x {height} points")
    return PcdHeader(record, width * height, encoding, len(head))


def _of_text(path: str | os.PathLike[str], text: bytes, header: PcdHeader) -> Array:
    if 2 * header.count * len(header.names) > len(text) + 1:  # a digit and a blank for each number
        raise BadFileError(path, f"truncated: {len(text)} bytes after the header hold no {header.count} points as text")
    points = np.zeros(header.count, header.record)
    try:
        numbers = np.array(text.split(), np.float64).reshape(-1, len(header.names))
        if len(numbers) < header.count:
            raise ValueError(f"{len(numbers)} lines of {header.count}")
        for column, name in enumerate(header.names):
            with np.errstate(invalid="ignore"):
                points[name] = numbers[: header.count, column]
    except ValueError as error:
        raise BadFileError(path, f"truncated, or no points as text ({' '.join(str(error).split())[:80]})") from None
    return points


def _of_columns(data: bytearray, header: PcdHeader) -> Array:
    """Points whose fields lie one after the other."""
    points, start = np.empty(header.count, header.record), 0
    for name in header.names:
        kind = header.record[name]
        points[name] = np.frombuffer(data, kind, header.count, start)
        start += header.count * kind.itemsize
    return points


def _decompressed(path: str | os.PathLike[str], data: UInt8[Array, "byte"], needed: int) -> bytearray:
    """What LZF made small: two sizes (4 bytes each), then runs of bytes, new ones or ones that came before."""
    sizes = np.frombuffer(data[:8], "<u4") if len(data) >= 8 else np.zeros(2, np.uint32)
    packed, whole = int(sizes[0]), int(sizes[1])
    if whole != needed or len(data) < 8 + packed:
        raise BadFileError(path, f"truncated: {whole} bytes unpacked of {needed}, {len(data) - 8} packed of {packed}")
    source, out, place = data[8 : 8 + packed].tobytes(), bytearray(), 0
    try:
        while place < packed and len(out) <= needed:
            control = source[place]
            place += 1
            if control < 32:
                out += source[place : place + control + 1]
                place += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += source[place]
                place += 1
            first = len(out) - ((control & 31) << 8) - source[place] - 1
            place, length = place + 1, length + 2
            if first < 0:
                raise IndexError
            run = out[first : first + length]
            out += (run * (length // len(run) + 1))[:length]  # a run may go on into what it makes
    except IndexError:
        raise BadFileError(path, "the compressed points are damaged") from None
    if len(out) != needed:
        raise BadFileError(path, f"the compressed points are damaged: {len(out)} bytes unpacked of {needed}")
    return out
