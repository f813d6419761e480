"""Result files in whatever form, which anyone may have written: every field is checked, and nothing is guessed."""

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from avjepa.evaluate.detection.result_content import NUMBERS, VECTORS, ResultContent, Vocabulary, refusal, shown
from avjepa.files import read_json

_OPTIONAL = {"ego_translation": 3}  # what the devkit's own files hold; it is computed anew
_FIELDS = ("sample_token", *VECTORS, "detection_name", "detection_score", "attribute_name")


def any_result(path: Path, vocabulary: Vocabulary) -> ResultContent:
    """What a file says.

    Raises:
        UserError: it is no JSON, an object has a key twice, a field is missing or of the wrong type, or a class or an
            attribute is unknown.
    """
    parsed = _Parsed(path, vocabulary)
    try:
        content = read_json(path, parsed.taken)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise refusal(path, f"not a nuScenes detection result ({reason})") from error
    results = content.get("results") if isinstance(content, dict) else None
    meta = content.get("meta") if isinstance(content, dict) else None
    if not isinstance(results, dict) or not isinstance(meta, dict):
        raise refusal(path, "not a nuScenes detection result (no objects 'meta' and 'results')")
    return parsed.content(meta, results)


class _Row(int):
    """The number of a box that was read: what stands in the parsed file in the place of the box."""


class _Parsed:
    """Takes boxes out of the file while it is parsed: as Python objects, those of a large split fill the memory."""

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        self.path, self.vocabulary = path, vocabulary
        self.tokens: list[object] = []
        self.names = array("q")
        self.numbers = array("d")

    def taken(self, pairs: list[tuple[str, Any]]) -> "dict[str, Any] | _Row":
        """A box, which is kept here, or any other object of the file."""
        content = dict(pairs)
        if len(content) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise refusal(self.path, f"the key {shown(twice)} stands twice in one object")
        return self._kept(content) if "detection_name" in content else content

    def _kept(self, entry: dict[str, Any]) -> _Row:
        token = entry.get("sample_token")
        if missing := [name for name in _FIELDS if name not in entry]:
            self._refuse(token, f"the field {missing[0]!r} is missing")
        classes, attributes = self.vocabulary.classes, self.vocabulary.attributes
        for name, known in (("detection_name", classes), ("attribute_name", attributes)):
            if not isinstance(entry[name], str) or entry[name] not in known:
                self._refuse(token, f"{name} {shown(entry[name])} is none of {', '.join(filter(None, known))}")
        for name, width in (VECTORS | _OPTIONAL).items():
            value = entry.get(name, [0] * width)
            if not isinstance(value, list) or len(value) != width or not _are_numbers(value):
                self._refuse(token, f"{name} is no list of {width} numbers")
        if not _are_numbers([entry["detection_score"]]):
            self._refuse(token, "detection_score is no number")
        # the devkit drops a prediction with 0 points unseen
        if entry.get("num_pts", -1) != -1:
            self._refuse(token, "num_pts is for annotations; leave it out")
        self.tokens.append(token)
        self.names.extend((classes[entry["detection_name"]], attributes[entry["attribute_name"]]))
        try:
            self.numbers.extend([*(v for name in VECTORS for v in entry[name]), entry["detection_score"]])
        except OverflowError:
            self._refuse(token, "a number is too large")
        return _Row(len(self.tokens) - 1)

    def content(self, meta: dict[str, Any], results: dict[str, Any]) -> ResultContent:
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
                    self._refuse(token, f"{shown(entry)} is no box")
                if self.tokens[entry] != token:
                    self._refuse(token, f"lists a box whose sample_token is {shown(self.tokens[entry])}")
                rows.append(int(entry))
                samples.append(index)
        row = np.array(rows, np.int64)
        return ResultContent(
            meta,
            tuple(results),
            np.array(samples, np.int64),
            np.array(self.names, np.int64).reshape(-1, 2)[row],
            np.array(self.numbers, np.float64).reshape(-1, NUMBERS)[row],
        )

    def _refuse(self, token: object, problem: str) -> NoReturn:
        raise refusal(self.path, f"sample {shown(token)}: {problem}")


def _are_numbers(values: Iterable[object]) -> bool:
    return all(type(value) in (int, float) for value in values)  # no subclass: neither a bool nor a row
