"""One record of a table that failed the typed decoding: read where its meaning is clear, otherwise what is wrong."""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec
from msgspec.structs import FieldInfo

from avjepa.data.nuscenes.records import Link, Links, Record, Token

R = TypeVar("R", bound=Record)


def checked_record(content: object, record_type: type[R]) -> R:
    """A parsed record as its type.

    Read in spite of its type: a whole number written as 3.0, a token written as a number, true and false as 1 and 0,
    null for a field that may be left out.

    Raises:
        ValueError: the record is no object, or a field is missing or of the wrong type. The message names the field,
            what it is and what is needed.
    """
    if not isinstance(content, dict):
        raise ValueError(f"the record is {_said(content)}, an object is needed")
    values: dict[str, Any] = {}
    for field in _fields(record_type):
        if field.name not in content:
            if field.required:
                raise ValueError(f"the field {field.name!r} is missing")
            continue
        value = _clear(content[field.name], field)
        if value is None:
            continue
        if any(isinstance(part, str) and _has_surrogates(part) for part in _parts(value)):
            raise ValueError(f"the field {field.name!r} holds half a surrogate pair, which is no text")
        try:
            values[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            raise ValueError(_complaint(field, content[field.name])) from None
        if any(isinstance(part, float) and not math.isfinite(part) for part in _parts(values[field.name])):
            raise ValueError(_complaint(field, content[field.name]))
    return record_type(**values)


@cache
def _fields(record_type: type[Record]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(record_type)


def _clear(value: Any, field: FieldInfo) -> Any:
    """The value that is clearly meant; ``None`` where the field's default is."""
    expected = field.type
    plain = getattr(expected, "__origin__", expected)
    if value is None and field.required:
        raise ValueError(_complaint(field, value))
    if plain is bool and type(value) is int and value in (0, 1):
        return bool(value)
    if expected in (Token, Link) and field.name.endswith(("token", "prev", "next")) and type(value) is int:
        return str(value)
    if expected == Links and isinstance(value, list):
        return [str(token) if type(token) is int else token for token in value]
    if isinstance(value, float) and value.is_integer() and plain not in (bool, str):
        return int(value)
    return value


def _parts(value: Any, depth: int = 2) -> Iterator[Any]:
    """The elements of lists in lists; no schema goes deeper."""
    if depth and isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part, depth - 1)
    else:
        yield value


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _complaint(field: FieldInfo, value: object) -> str:
    annotated = next(part for part in (field.type, *get_args(field.type)) if hasattr(part, "__metadata__"))
    return f"the field {field.name!r} is {_said(value)}, {annotated.__metadata__[0].description}"


def _said(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {value[:30]!a}" + ("…" if len(value) > 30 else "")
    if isinstance(value, int | float):
        return f"the number {value!r}"
    if isinstance(value, dict):
        return "an object"
    if not isinstance(value, list):
        return type(value).__name__
    odd = [part for part in _parts(value) if type(part) not in (int, float) or not math.isfinite(part)]
    if odd:
        return "a list in lists" if isinstance(odd[0], list) else f"a list with {_said(odd[0])}"
    return f"a list of {len(value)}"
