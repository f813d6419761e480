"""jsonargparse's messages on values that do not fit, in plain words: which option, what was given, what is accepted."""

import re
from collections.abc import Sequence

_KEY = re.compile(r'Parser key "([\w.]+)":\s*')
_CLASS = re.compile(r"(?:- )?Problem with given class_path '[\w.]*?(\w+)':\s*")
_ONE_TYPE = re.compile(r"Expected an? (?P<type>.+?)\. Got value: (?P<value>.*)", re.DOTALL)
_UNION = "Does not validate against any of the Union subtypes"
_SUBTYPES = re.compile(r"Subtypes: \[(.*)\]\s*\n")
_ERRORS = re.compile(r"Errors:\n(?P<errors>.*?)\n\s*Given value type:.*?\n\s*Given value: (?P<value>.*)", re.DOTALL)
_BULLET = re.compile(r"(?:^|\n)\s*- ")
_IMPORT_PATH = re.compile(r"- Expected a dot import path string: (.*)")
_LONGEST = 80  # characters of a value that are repeated

_WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "NoneType": "null",
    "tuple": "a list", "list": "a list", "dict": "keys and values", "Path": "a path", "PosixPath": "a path",
}  # fmt: skip
_MANY = {"int": "whole numbers", "float": "numbers", "str": "texts"}


def plain(text: str) -> str:
    """A message of the parser as one sentence, or as it is where it says something else than that a value is wrong."""
    if not (key := _KEY.match(text)):
        return text
    problem = _problem(text[key.end() :])
    return text if problem is None else f"--{key[1]}: {problem}"


def _problem(text: str) -> str | None:
    """What is wrong, of what stands behind the name of an option; ``None`` where nothing here knows how to say it."""
    text = text.strip()
    if inside := _CLASS.match(text):
        if not (key := _KEY.match(text, inside.end())):
            return None
        problem = _problem(text[key.end() :])
        return None if problem is None else f"{key[1]} of {inside[1]}: {problem}"
    if _UNION in text:
        return _of_union(text)
    if one := _ONE_TYPE.match(text):
        return _refused(one["value"], [_in_words(one["type"])])
    if path := _IMPORT_PATH.search(text):
        return _refused(path[1], ["a file that says it", "class_path and init_args"])
    return None


def _of_union(text: str) -> str | None:
    subtypes, found = _SUBTYPES.search(text), _ERRORS.search(text)
    if subtypes is None or found is None:
        return None
    errors = [bullet for bullet in _BULLET.split(found["errors"]) if bullet]
    if within := next((error for error in errors if _CLASS.match(error)), None):  # it was meant for this one
        return _problem(within)
    types = _separated(subtypes[1])
    choices = [choice for one in types for choice in _choices(one)]
    others = [_in_words(one) for one in types if not _choices(one)]
    return _refused(found["value"], ([_one_of(choices)] if choices else []) + others)


def _refused(value: str, accepted: Sequence[str]) -> str:
    shown = value.strip()
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    *most, last = dict.fromkeys(accepted)
    return f"{shown!r} is not accepted; give {', '.join(most)}{' or ' if most else ''}{last}"


def _separated(types: str) -> list[str]:
    """The types of a list of them; commas within brackets belong to one type."""
    parts, depth = [""], 0
    for letter in types:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _choices(type_: str) -> list[str]:
    """The values of a type that lists them; none of another type."""
    literal = re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", type_)
    return [] if literal is None else [value.strip("' ") for value in _separated(literal[1])]


def _one_of(choices: Sequence[str]) -> str:
    return "one of " + ", ".join(dict.fromkeys(choices))


def _in_words(type_: str) -> str:
    """A type of Python as a reader of YAML calls it."""
    if named := re.fullmatch(r"<class '(?:[\w.]*\.)?(\w+)'>", type_):
        known = named[1]
        return _WORDS.get(known, f"a {known} (class_path and init_args, or its keys)")
    if choices := _choices(type_):
        return _one_of(choices)
    if several := re.fullmatch(r"(?:[\w.]+\.)?(list|tuple|Sequence|Iterable|Collection|set)\[(.*)\]", type_):
        inner = _separated(several[2])[0]
        return f"a list of {_MANY.get(inner, inner.rpartition('.')[2])}"
    if re.fullmatch(r"(?:[\w.]+\.)?(?:dict|Mapping)\[.*\]", type_):
        return "keys and values"
    return _WORDS.get(type_, type_.rpartition(".")[2])
