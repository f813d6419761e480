"""Strict reading of small YAML files: every mistake is one line that names the file and the key."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from avjepa.bounded_yaml import require_bounded
from avjepa.errors import UserError
from avjepa.files import read_text


class YamlFile:
    """What a YAML file says, and checks of its parts that name the file and the key.

    Args:
        path: the file: a mapping whose keys are texts.
        required: keys that it must have.
        optional: keys that it may have.

    Raises:
        UserError: the file cannot be read, is no such mapping, or lacks a key or has another one.
    """

    def __init__(self, path: Path, required: Collection[str], optional: Collection[str] = ()) -> None:
        self.path = path
        try:
            text = read_text(path)
            require_bounded(text)
            content = yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())[:200]})") from error
        self.content = self.mapping(content, "the file", required, optional)

    def wrong(self, key: str, problem: str) -> UserError:
        """The error to raise for a value."""
        return UserError(f"{self.path}: {key}: {problem}")

    def mapping(
        self, value: Any, key: str, required: Collection[str] | None = None, optional: Collection[str] = ()
    ) -> dict[str, Any]:
        """A mapping whose keys are texts: the required ones, some of the optional ones, and no others."""
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.wrong(key, f"expected a mapping of names, got {_kind(value)}")
        if required is not None:
            if missing := [name for name in required if name not in value]:
                raise self.wrong(key, f"lacks {missing[0]!r}; add it")
            if unknown := [name for name in value if name not in required and name not in optional]:
                known = ", ".join([*required, *optional])
                raise self.wrong(key, f"does not know {unknown[0]!r}; choose from {known}")
        return value

    def names(self, value: Any, key: str, among: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of different, non-empty texts, all of them ``among`` others if those are given."""
        if not isinstance(value, list):
            raise self.wrong(key, f"expected a list of names, got {_kind(value)}")
        names = tuple(self.name(item, key, among) for item in value)
        if repeated := [name for place, name in enumerate(names) if name in names[:place]]:
            raise self.wrong(key, f"names {repeated[0]!r} twice")
        return names

    def name(self, value: Any, key: str, among: Collection[str] | None = None) -> str:
        """A non-empty text."""
        if not isinstance(value, str) or not value:
            raise self.wrong(key, f"expected a name, got {_kind(value)}")
        if among is not None and value not in among:
            raise self.wrong(key, f"does not know {value!r}; choose from {', '.join(among)}")
        return value

    def positive(self, value: Any, key: str) -> float:
        """A finite number above zero."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, f"expected a number, got {_kind(value)}")
        if not 0 < value < math.inf:
            raise self.wrong(key, f"must be a positive number, got {value!s:.20}")
        return float(value)


def _kind(value: Any) -> str:
    """How to name a value of the wrong kind without printing all of it."""
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value)) or f"{str(value)[:40]!r}"
