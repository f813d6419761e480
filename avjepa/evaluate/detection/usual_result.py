"""Result files in their usual form, read in pieces as fast as JSON can be.

In the usual form the file is ``{"meta": {...}, "results": {token: [box, ...], ...}}``, the two in either order, and
every box has the eight fields of the official format and no others. Whatever is otherwise is not judged here but left
to ``any_result``, which reads every form and says what is wrong. A file is cut where the list of a sample ends, and
each piece is parsed on its own; a cut at a wrong place, inside of a text, leaves a piece that is no JSON.
"""

import re
from array import array
from collections.abc import Iterator
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from avjepa.data.packed_numbers import PackedNumbers
from avjepa.evaluate.detection.result_content import NUMBERS, VECTORS, ResultContent, Vocabulary
from avjepa.files import no_garbage_collection
from avjepa.progress import reading_bar

_PIECE = 1 << 19  # bytes, so that a processor's cache holds what is parsed
_LARGEST_SAMPLE = 1 << 25  # bytes
_START = re.compile(rb'\s*\{\s*(?:"meta"\s*:\s*(\{[^{}]*\})\s*,\s*)?"results"\s*:\s*\{')
_BORDER = re.compile(rb'\}\s*\](\s*,)\s*"')
_END = re.compile(rb'\s*\}\s*(?:,\s*"meta"\s*:\s*(\{[^{}]*\})\s*)?\}\s*')


class _UnusualError(Exception):
    """The file has another form."""


class _Box(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    sample_token: str
    translation: tuple[float, float, float]
    size: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    velocity: tuple[float, float]
    detection_name: str
    detection_score: float
    attribute_name: str


_FIELDS = len(_Box.__struct_fields__)
_TOKEN, _NAMES = attrgetter("sample_token"), attrgetter("detection_name", "attribute_name")
_NUMBERS = PackedNumbers(**VECTORS, detection_score=0)


def usual_result(path: Path, vocabulary: Vocabulary) -> ResultContent | None:
    """What a file says; ``None`` where it is not in the usual form.

    Raises:
        OSError: it cannot be read.
    """
    decoder = msgspec.json.Decoder(dict[str, list[_Box]])
    pairs = vocabulary.pairs()
    rows = {pair: row for row, pair in enumerate(pairs)}
    meta: dict[str, bool] = {}
    tokens: list[str] = []
    counts: list[int] = []
    names, numbers = array("q"), array("d")  # which grow in place
    try:
        with (
            path.open("rb") as file,
            reading_bar(f"reading {path.name}", [path]) as advance,
            no_garbage_collection(),
        ):
            for piece in _pieces(file, meta):
                advance(len(piece))
                samples = decoder.decode(piece)
                boxes = list(chain.from_iterable(samples.values()))
                _require_distinct_keys(piece, len(samples) + _FIELDS * len(boxes))
                if any(listed and set(map(_TOKEN, listed)) != {token} for token, listed in samples.items()):
                    raise _UnusualError
                tokens += samples
                counts += map(len, samples.values())
                names.extend(map(rows.__getitem__, map(_NAMES, boxes)))
                numbers.frombytes(_NUMBERS(boxes).view(np.uint8).reshape(-1).data)
    except (_UnusualError, msgspec.DecodeError, KeyError):
        return None
    if len(set(tokens)) < len(tokens):
        return None
    sample = np.repeat(np.arange(len(tokens)), counts)
    named = np.array(list(pairs.values()), np.int64)[np.frombuffer(names, np.int64)]
    return ResultContent(meta, tuple(tokens), sample, named, np.frombuffer(numbers).reshape(-1, NUMBERS))


def _pieces(file: BinaryIO, meta: dict[str, bool]) -> Iterator[bytes]:
    """Objects that hold some samples each, all of the file; what it says of itself goes into ``meta``."""
    buffer = file.read(_PIECE)
    start = _START.match(buffer)
    if start is None:
        raise _UnusualError
    buffer, searched = buffer[start.end() :], _PIECE
    while chunk := file.read(_PIECE):
        buffer += chunk
        while border := _BORDER.search(buffer, min(searched, len(buffer))):
            yield b"{" + buffer[: border.start(1)] + b"}"
            buffer, searched = buffer[border.end(1) :], _PIECE
        if len(buffer) > _LARGEST_SAMPLE:
            raise _UnusualError
    last = buffer.rfind(b"]") + 1
    end = _END.fullmatch(buffer, last)
    if end is None or (start[1] is None) == (end[1] is None):
        raise _UnusualError
    yield b"{" + buffer[:last] + b"}"
    meta |= msgspec.json.decode(start[1] or end[1], type=dict[str, bool])
    _require_distinct_keys(start[1] or end[1], len(meta))


def _require_distinct_keys(text: bytes, keys: int) -> None:
    """Raise unless a text that was parsed into so many keys has no more colons: of equal keys the last is taken."""
    if np.count_nonzero(np.frombuffer(text, np.uint8) == ord(":")) != keys:
        raise _UnusualError
