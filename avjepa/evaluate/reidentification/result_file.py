"""Files of embeddings: boxes in the global frame, each with a vector that says what is in it.

A file is JSON: ``meta`` says which sensors the embeddings are from (``use_camera`` and so on), their ``dimension`` D
and, if the writer knows it, the ``temperature`` by which a cosine of two of them is divided to be a log-likelihood.
``results`` holds every keyframe by token, and in lists of one length N:

- ``boxes``: nine numbers each, ``geometry.boxes.BOX_FIELDS`` in the global frame; a velocity may be ``null``
- ``classes``: their names
- ``tracks``: the data set's names of the objects (``DrivingDataset.track_name``), ``null`` for a detected box
- ``scores``: of detected boxes, else ``null``
- ``embeddings``: N×D numbers of 16 bits (float, little-endian) in base64.

Anyone may have written such a file, so every part is checked before it is used.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from jaxtyping import Float32, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError, counted
from avjepa.files import read_text, replacing

FILE_NAME = "embeddings.json"
SENSORS = ("camera", "lidar", "radar")
MOST_DIMENSIONS = 4_096
_MOST_BYTES = 1 << 32
_LARGEST = 1e9
_EMPTY = b'{"boxes": [], "classes": [], "tracks": [], "scores": [], "embeddings": ""}'


def entry(
    boxes: Float64[Array, "box 9"],
    classes: Sequence[str],
    tracks: Sequence[str | None],
    scores: Sequence[float | None],
    embeddings: Float32[Array, "box dimension"],
) -> dict[str, Any]:
    """What the file holds of one keyframe, as plain values.

    Args:
        boxes: in the global frame; an unknown velocity is NaN.
        classes: name of each box's class.
        tracks: name of each box's object, ``None`` for a detected box.
        scores: of detected boxes, else ``None``.
        embeddings: none of them NaN, infinite or zero; only their direction counts.

    Raises:
        UserError: an embedding is no direction.
    """
    length = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise UserError("an embedding is NaN, infinite or zero; the weights of the network are spoilt")
    return {
        "boxes": [[None if math.isnan(value) else value for value in box] for box in boxes.tolist()],
        "classes": list(classes),
        "tracks": list(tracks),
        "scores": list(scores),
        "embeddings": base64.b64encode((embeddings / length).astype("<f2").tobytes()).decode(),
    }


def write_embeddings(
    path: Path,
    dimension: int,
    entries: Mapping[str, bytes],
    tokens: Sequence[str],
    sensors: Sequence[str],
    temperature: float | None = None,
) -> None:
    """Write a file, keyframe by keyframe; ``entries``, ``tokens`` and ``sensors`` as of ``PredictionWriter.write``."""
    meta: dict[str, object] = {f"use_{name}": name in sensors for name in SENSORS}
    meta |= {"dimension": dimension, "temperature": temperature}
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(f'{{"meta": {json.dumps(meta)}, "results": {{'.encode())
        for number, token in enumerate(tokens):
            file.write(f"{', ' if number else ''}{json.dumps(token)}: ".encode())
            file.write(entries.get(token, _EMPTY))
        file.write(b"}}\n")


_Number = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
_Side = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]
_Box = tuple[_Number, _Number, _Number, _Side, _Side, _Side, _Number, _Number | None, _Number | None]


class _Meta(msgspec.Struct, forbid_unknown_fields=True):
    use_camera: bool
    use_lidar: bool
    use_radar: bool
    dimension: Annotated[int, msgspec.Meta(ge=1, le=MOST_DIMENSIONS)]
    temperature: Annotated[float, msgspec.Meta(ge=1e-4, le=1e4)] | None = None


class _Keyframe(msgspec.Struct, forbid_unknown_fields=True):
    boxes: list[_Box]
    classes: list[str]
    tracks: list[str | None]
    scores: list[_Number | None]
    embeddings: bytes


class _File(msgspec.Struct, forbid_unknown_fields=True):
    meta: _Meta
    results: dict[str, msgspec.Raw]


@dataclass(frozen=True)
class EmbeddingFile:
    """The boxes of a file and their embeddings, in the file's order."""

    path: Path
    sensors: tuple[str, ...]
    """Of ``SENSORS``: what the embeddings are from."""
    temperature: float | None
    tokens: tuple[str, ...]
    """Of all keyframes that the file lists."""
    keyframe: Int64[Array, "box"]
    """Index into ``tokens``."""
    boxes: Float64[Array, "box 9"]
    """In the global frame; NaN for a velocity that is not known."""
    class_index: Int64[Array, "box"]
    """Index into the taxonomy's classes."""
    tracks: tuple[str | None, ...]
    """The data set's name of each box's object; ``None`` for a detected box."""
    scores: Float64[Array, "box"]
    """NaN for a box without one."""
    embeddings: Float32[Array, "box dimension"]
    """Unit vectors."""

    def keyframe_among(self, tokens: Sequence[str]) -> Int64[Array, "box"]:
        """Position of each box's keyframe in a list of all keyframes of a split.

        Raises:
            UserError: the file lists others.
        """
        if different := set(tokens) ^ set(self.tokens):
            raise UserError(
                f"{self.path}: its samples are not those of the split ({counted(len(different), 'sample')} in one of "
                "the two only); predict this split of this dataset again"
            )
        place = {token: number for number, token in enumerate(tokens)}
        return np.array([place[token] for token in self.tokens], np.int64)[self.keyframe]


def read_embeddings(path: Path, taxonomy: Taxonomy) -> EmbeddingFile:
    """Read and check a file of embeddings.

    Args:
        path: the file.
        taxonomy: says which classes there are.

    Raises:
        UserError: there is no such file, it is not of this format, a number is NaN, infinite or absurd, a class is
            unknown, an object has two boxes at a keyframe, or an embedding is NaN, infinite or zero.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; predict the split first")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 30} GiB")
        text = read_text(path)
        require_no_repetition(text)
        file = msgspec.json.decode(text, type=_File)
        return _checked(path, file, taxonomy)
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no file of embeddings ({reason}); predict the split again, or mend it") from None


def require_no_repetition(text: str) -> None:
    """Raise for a keyframe that a file lists twice, of which a decoder would drop one unseen.

    Raises:
        ValueError: naming it, or saying why the text is no JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            keys = [key for key, _ in pairs]
            raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r:.60} stands twice in one object")
        return content

    json.loads(text, object_pairs_hook=once)


def _checked(path: Path, file: _File, taxonomy: Taxonomy) -> EmbeddingFile:
    number_of = {name: number for number, name in enumerate(taxonomy.classes)}
    decoder = msgspec.json.Decoder(_Keyframe)
    keyframe: list[int] = []
    boxes: list[_Box] = []
    class_index: list[int] = []
    tracks: list[str | None] = []
    scores: list[float | None] = []
    embeddings = [np.zeros((0, file.meta.dimension), np.float32)]
    for place, (token, raw) in enumerate(file.results.items()):
        try:
            content = decoder.decode(raw)
            embeddings.append(_vectors(content, file.meta.dimension))
            if unknown := [name for name in content.classes if name not in number_of]:
                raise ValueError(f"class {unknown[0]!r:.60} is none of {', '.join(number_of)}")
        except ValueError as error:
            raise ValueError(f"sample {token!r:.60}: {error}") from None
        keyframe += [place] * len(content.boxes)
        boxes += content.boxes
        class_index += [number_of[name] for name in content.classes]
        tracks += content.tracks
        scores += content.scores
    return EmbeddingFile(
        path=path,
        sensors=tuple(name for name in SENSORS if getattr(file.meta, f"use_{name}")),
        temperature=file.meta.temperature,
        tokens=tuple(file.results),
        keyframe=np.array(keyframe, np.int64),
        boxes=np.array(boxes, np.float64).reshape(-1, 9),
        class_index=np.array(class_index, np.int64),
        tracks=tuple(tracks),
        scores=np.array(scores, np.float64),
        embeddings=np.concatenate(embeddings),
    )


def _vectors(content: _Keyframe, dimension: int) -> Float32[Array, "box dimension"]:
    """The embeddings of a keyframe as unit vectors.

    Raises:
        ValueError: the lists are of different lengths, an object has two boxes, or a vector is no direction.
    """
    count = len(content.boxes)
    if {len(content.classes), len(content.tracks), len(content.scores)} != {count}:
        raise ValueError("boxes, classes, tracks and scores are not of one length")
    named = [track for track in content.tracks if track is not None]
    if len(set(named)) < len(named):
        raise ValueError("an object has two boxes")
    if len(content.embeddings) != 2 * count * dimension:
        raise ValueError(f"{len(content.embeddings)} bytes of embeddings, {2 * count * dimension} can be right")
    vectors = np.frombuffer(content.embeddings, "<f2").reshape(count, dimension).astype(np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise ValueError("an embedding is NaN, infinite or zero")
    return np.asarray(vectors / length)
