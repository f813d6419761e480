"""Reading an official result file, which anyone may have written: every field is checked, and nothing is guessed."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable
from avjepa.files import read_json

SENSORS = ("camera", "lidar", "radar", "map", "external")
"""What predictions may say they were made from, in ``meta`` as ``use_camera`` and so on."""

_VECTORS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}
_OPTIONAL = {"ego_translation": 3}  # what the devkit's own files hold; it is computed anew
_FIELDS = ("sample_token", *_VECTORS, "detection_name", "detection_score", "attribute_name")
_NUMBERS = sum(_VECTORS.values()) + 1
_LARGEST = 1e9
_SMALLEST_SIZE = 1e-50  # m; a volume of three of these is no zero yet
_REMEDY = "predict again, or mend the file"


@dataclass(frozen=True)
class ResultFile:
    """The boxes of a result file, in the file's order, which decides between equal scores."""

    path: Path
    sample_tokens: tuple[str, ...]
    """Every sample that the file lists, with boxes or without, in its order."""
    boxes: BoxTable
    """``boxes.sample`` counts ``sample_tokens``."""
    sensors: tuple[str, ...]
    """Of ``SENSORS``: what the predictions were made from, as far as the file says."""

    def of_sample(self, token: str) -> BoxTable:
        """The boxes of one sample, best first.

        Raises:
            UserError: the file does not list the sample.
        """
        if token not in self.sample_tokens:
            problem = f"does not list sample {token}"
            raise UserError(f"{self.path}: {problem}; choose a sample of the split that was predicted")
        boxes = self.boxes.selected(self.boxes.sample == self.sample_tokens.index(token))
        return boxes.selected(np.argsort(-boxes.score, kind="stable"))

    def arranged(self, sample_tokens: Sequence[str], maximum: int) -> BoxTable:
        """The boxes with ``sample`` counting the samples of a split, still in the file's order.

        Args:
            sample_tokens: the samples of the split; the file has to list all of them and no others.
            maximum: boxes that a sample may have.

        Raises:
            UserError: the file lists other samples, or one of them has too many boxes.
        """
        missing, extra = set(sample_tokens) - set(self.sample_tokens), set(self.sample_tokens) - set(sample_tokens)
        if missing or extra:
            raise UserError(
                f"{self.path}: {len(missing)} samples of the split are missing and {len(extra)} are not of it; "
                "predict this split of this dataset again"
            )
        counts = np.bincount(self.boxes.sample, minlength=len(self.sample_tokens))
        if len(counts) and counts.max() > maximum:
            token = self.sample_tokens[int(counts.argmax())]
            raise UserError(f"{self.path}: sample {token} has more than {maximum} boxes; predict again with fewer")
        position = {token: index for index, token in enumerate(sample_tokens)}
        place = np.array([position[token] for token in self.sample_tokens], np.int64)
        return self.boxes.with_samples(place[self.boxes.sample])


def read_result_file(path: Path, taxonomy: Taxonomy) -> ResultFile:
    """Read and check a result file of the detection task.

    Args:
        path: the file.
        taxonomy: says which classes and attributes there are.

    Raises:
        UserError: there is no such file, it is no JSON, an object has a key twice, a field is missing or of the wrong
            type, a number is NaN, infinite or absurd, a size is not positive, a class or an attribute is unknown.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; predict the split first")
    parsed = _Parsed(path, taxonomy)
    try:
        content = read_json(path, parsed.taken)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a nuScenes detection result ({reason}); {_REMEDY}") from error
    results = content.get("results") if isinstance(content, dict) else None
    meta = content.get("meta") if isinstance(content, dict) else None
    if not isinstance(results, dict) or not isinstance(meta, dict):
        raise UserError(f"{path}: not a nuScenes detection result (no objects 'meta' and 'results'); {_REMEDY}")
    for name in SENSORS:
        if not isinstance(meta.get(f"use_{name}", False), bool):
            raise UserError(f"{path}: meta: 'use_{name}' is neither true nor false; {_REMEDY}")
    sensors = tuple(name for name in SENSORS if meta.get(f"use_{name}"))
    return ResultFile(path, tuple(results), parsed.boxes(results), sensors)


class _Row(int):
    """The number of a box that was read: what stands in the parsed file in the place of the box."""


class _Parsed:
    """Takes boxes out of the file while it is parsed: as Python objects, those of a large split fill the memory."""

    def __init__(self, path: Path, taxonomy: Taxonomy) -> None:
        self.path = path
        self.classes = {name: index for index, name in enumerate(taxonomy.classes)}
        self.attributes = {"": NO_ATTRIBUTE} | {name: index for index, name in enumerate(taxonomy.attribute_names())}
        self.tokens: list[object] = []
        self.names = array("q")
        self.numbers = array("d")

    def taken(self, pairs: list[tuple[str, Any]]) -> "dict[str, Any] | _Row":
        """A box, which is kept here, or any other object of the file."""
        content = dict(pairs)
        if len(content) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UserError(f"{self.path}: the key {_shown(twice)} stands twice in one object; {_REMEDY}")
        return self._kept(content) if "detection_name" in content else content

    def _kept(self, entry: dict[str, Any]) -> _Row:
        token = entry.get("sample_token")
        if missing := [name for name in _FIELDS if name not in entry]:
            self._refuse(token, f"the field {missing[0]!r} is missing")
        for name, known in (("detection_name", self.classes), ("attribute_name", self.attributes)):
            if not isinstance(entry[name], str) or entry[name] not in known:
                self._refuse(token, f"{name} {_shown(entry[name])} is none of {', '.join(filter(None, known))}")
        for name, width in (_VECTORS | _OPTIONAL).items():
            value = entry.get(name, [0] * width)
            if not isinstance(value, list) or len(value) != width or not _are_numbers(value):
                self._refuse(token, f"{name} is no list of {width} numbers")
        if not _are_numbers([entry["detection_score"]]):
            self._refuse(token, "detection_score is no number")
        # the devkit drops a prediction with 0 points unseen
        if entry.get("num_pts", -1) != -1:
            self._refuse(token, "num_pts is for annotations; leave it out")
        self.tokens.append(token)
        self.names.extend((self.classes[entry["detection_name"]], self.attributes[entry["attribute_name"]]))
        try:
            self.numbers.extend([*(v for name in _VECTORS for v in entry[name]), entry["detection_score"]])
        except OverflowError:
            self._refuse(token, "a number is too large")
        return _Row(len(self.tokens) - 1)

    def boxes(self, results: dict[str, Any]) -> BoxTable:
        """The boxes in the order in which ``results`` lists them."""
        rows: list[int] = []
        samples: list[int] = []
        for index, (token, listed) in enumerate(results.items()):
            if not isinstance(listed, list):
                self._refuse(token, "its boxes are no list")
            for entry in listed:
                if isinstance(entry, dict):
                    self._refuse(token, "the field 'detection_name' is missing")
                if not isinstance(entry, _Row):
                    self._refuse(token, f"{_shown(entry)} is no box")
                if self.tokens[entry] != token:
                    self._refuse(token, f"lists a box whose sample_token is {_shown(self.tokens[entry])}")
                rows.append(int(entry))
                samples.append(index)
        row = np.array(rows, np.int64)
        numbers = np.array(self.numbers, np.float64).reshape(-1, _NUMBERS)[row]
        size, rotation = numbers[:, 3:6], numbers[:, 6:10]
        self._check((np.abs(numbers) < _LARGEST).all(1), row, "a number is NaN, infinite or absurdly large")
        self._check((size > _SMALLEST_SIZE).all(1), row, "size is not positive")
        self._check((np.abs(rotation) > 1e-6).any(1), row, "rotation is no quaternion")
        names = np.array(self.names, np.int64).reshape(-1, 2)[row]
        return BoxTable(
            sample=np.array(samples, np.int64), class_index=names[:, 0], translation=numbers[:, :3], size=size,
            yaw=_yaw(rotation), velocity=numbers[:, 10:12], attribute=names[:, 1], score=numbers[:, 12],
        )  # fmt: skip

    def _check(self, holds: Bool[Array, "box"], row: Int64[Array, "box"], problem: str) -> None:
        if not holds.all():
            self._refuse(self.tokens[int(row[int(np.argmin(holds))])], problem)

    def _refuse(self, token: object, problem: str) -> NoReturn:
        raise UserError(f"{self.path}: sample {_shown(token)}: {problem}; {_REMEDY}")


def _yaw(wxyz: Float64[Array, "box 4"]) -> Float64[Array, "box"]:
    w, x, y, z = (wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)).T
    return np.asarray(np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z)))


def _are_numbers(values: Iterable[object]) -> bool:
    return all(type(value) in (int, float) for value in values)  # no subclass: neither a bool nor a row


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
