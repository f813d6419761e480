"""Values that do not belong where they are put."""

import copy
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Path = tuple[str | int, ...]
"""Keys and positions from the root of a document to a value in it."""


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


SCALARS: dict[str, Any] = {
    "null": None,
    "true": True,
    "the text 'false'": "false",
    "zero": 0,
    "minus one": -1,
    "a half": 0.5,
    "NaN": math.nan,
    "infinity": math.inf,
    "1e300": 1e300,
    "10^30": 10**30,
    "no text": "",
    "a word": "spoilt",
    "a lone surrogate": "\ud800",
    "a control character": "a\0b",
    "mathematics": "$\\frac{1}{",
    "a way out": "../../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "a long text": "x" * 100_000,
    "no list": [],
    "an object": {},
    "a nested list": nested(50),
}


def spoilt_list(random: Random, value: list[Any]) -> tuple[str, list[Any]]:
    """A list that is too short, too long, or holds one value that does not belong."""
    if not value or random.random() < 0.3:
        return random.choice(
            [
                ("one item less", value[:-1]),
                ("one item more", [*value, *(value[:1] or [0.0])]),
                ("a list of it", [value]),
            ]
        )
    name, item = random.choice(list(SCALARS.items()))
    position = random.randrange(len(value))
    return f"item {position}: {name}", [*value[:position], item, *value[position + 1 :]]


def spoilt(random: Random, value: Any) -> tuple[str, Any]:
    """A name for what was done, and a value in the place of another."""
    if isinstance(value, list) and random.random() < 0.6:
        return spoilt_list(random, value)
    return random.choice(list(SCALARS.items()))


def same_kind(left: Any, right: Any) -> bool:
    """Whether two values are of one type, lists of one length, and all numbers finite: what any reader may take."""
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_kind, left, right))
    if isinstance(left, float):
        return isinstance(right, int | float) and abs(right) < 1e9
    return type(left) is type(right)


def paths(document: Any, prefix: Path = ()) -> Iterator[Path]:
    """The places of all values in a document of objects and lists, the root left out."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


def at(document: Any, path: Path) -> Any:
    """The value at a place."""
    for key in path:
        document = document[key]
    return document


def replaced(document: Any, path: Path, change: Callable[[Any, str | int], None]) -> Any:
    """A copy in which ``change(parent, key)`` has been at work."""
    document = copy.deepcopy(document)
    change(at(document, path[:-1]), path[-1])
    return document


def spoilt_document(random: Random, document: Any, among: list[Path]) -> tuple[str, Path, Any, Any, Any]:
    """One value of a document spoilt or deleted.

    Returns:
        (what was done, where, the old value, the new one, the new document); a deleted value is ``None``.
    """
    path = random.choice(among)
    old = at(document, path)
    where = ".".join(map(str, path))
    if random.random() < 0.1:
        return f"{where} deleted", path, old, None, replaced(document, path, lambda parent, key: parent.pop(key))
    name, new = spoilt(random, old)
    return f"{where}: {name}", path, old, new, replaced(document, path, lambda parent, key: _put(parent, key, new))


def _put(parent: Any, key: Any, value: Any) -> None:
    parent[key] = value
