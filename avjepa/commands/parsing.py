"""Command-line options from the signature of a function, with errors in one line."""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from avjepa.commands.wrong_values import plain
from avjepa.errors import UserError

_UNKNOWN = re.compile(
    r"unrecognized arguments: --(?P<option>[\w.]+)"
    r"|Group '(?P<group>[\w.]+)' does not accept option '(?P<key>[\w.]+)'"
    r"|Option '(?P<name>[\w.]+)' is not accepted"
)
"""How jsonargparse names an option, or a key of a file, that it does not know."""
_LOOP = "Config file loop detected: "
"""How jsonargparse words what it takes for a file that includes itself."""
_NO_KEYS = re.compile("'(\\w+)' object has no attribute 'keys'")
_MODULE = re.compile(r"No module named '([\w]+)'$")
_CLASS = re.compile(r"class_path '([\w.]+)'")
_OPTIONAL = re.compile(
    r'Parser key "(?P<key>[\w.]+)": Does not validate against any of the Union subtypes; Subtypes: '
    r"\[<class '[\w.]+'>, <class 'NoneType'>\]; Errors: - (?:Problem with given class_path '[\w.]+': )?"
    r"(?P<problem>.*?); - Expected a <class 'NoneType'>;? ?Given value type: .*"
)
"""What jsonargparse says of something optional that is given wrongly."""


def readable(error: Exception, names: Iterable[str] = (), shorthands: Mapping[str, str] | None = None) -> str:
    """jsonargparse's message as one line that names the option, and the one that was meant if it is misspelt.

    Args:
        error: what jsonargparse raised.
        names: of the options that there are, dotted.
        shorthands: what stands for some of them, both with their dashes.
    """
    short_of = {long: short for short, long in (shorthands or {}).items()}
    names = [*names, *(short.removeprefix("--") for short in short_of.values())]
    said = plain(_said(error))
    option, colon, rest = said.partition(": ")
    if colon and option in short_of:
        said = f"{short_of[option]} ({option}): {rest}"
    text = "; ".join(line.strip() for line in said.splitlines() if line.strip()).replace(":; ", ": ")
    text = _NO_KEYS.sub(r"init_args: needs keys and values, got a \1", text)
    if missing := _MODULE.search(text):
        remedy = f"correct it, add its folder to PYTHONPATH, or have the current one searched with --trust {missing[1]}"
        return f"{text}; {remedy}"
    meant = _meant(text, names)
    text = _OPTIONAL.sub(r"\g<key>: \g<problem>", text)
    return f"{text}; did you mean {meant}? See --help" if meant else f"{text}; see --help"


def _said(error: BaseException) -> str:
    """What an error says, and what is wrong within a file that another one names.

    Where such a file does not fit, jsonargparse tries its name as a value, finds that it is reading the file already,
    and speaks of a loop; the reason is the error that it was handling then.
    """
    text, inner = str(error), error
    while inner := inner.__cause__ or inner.__context__:  # type: ignore[assignment]
        if str(inner).startswith(_LOOP) and isinstance(reason := inner.__context__, ValueError):
            return text.replace(str(inner), f"{str(inner).rpartition(' -> ')[2]}: {_said(reason)}")
    return text


def _meant(text: str, names: Iterable[str]) -> str | None:
    """The option, or the argument of a class, whose name is most like the unknown one of which the message speaks."""
    found = _UNKNOWN.search(text)
    if found is None:
        return None
    unknown = f"{found['group']}.{found['key']}" if found["group"] else found["option"] or found["name"]
    classes = _CLASS.findall(text[: found.start()])
    if classes:
        module, _, name = classes[-1].rpartition(".")  # jsonargparse has loaded it
        close = _closest(unknown, inspect.signature(getattr(importlib.import_module(module), name)).parameters)
        return close and f"{close!r}"
    close = _closest(unknown, names)
    return close and f"--{close}"


def _closest(unknown: str, names: Iterable[str]) -> str | None:
    """The name that is most like it, or else the section that is most like its own."""
    known = list(names)
    if close := difflib.get_close_matches(unknown, known, n=1):
        return close[0]
    section = unknown.split(".")[0]
    close = difflib.get_close_matches(section, {name.split(".")[0] for name in known}, n=1)
    return close[0] if close and close[0] != section else None


def with_flag_values(function: Callable[..., Any], arguments: Sequence[str]) -> list[str]:
    """The arguments, in which a parameter of type ``bool`` that is named without a value has the value true."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    flags = {f"--{parameter.name}" for parameter in parameters if parameter.annotation is bool}
    return [
        f"{argument}=true" if argument in flags and (following is None or following.startswith("-")) else argument
        for argument, following in zip_longest(arguments, arguments[1:])
    ]


def run_function(name: str, function: Callable[..., Any], arguments: Sequence[str]) -> None:
    """Parse ``arguments`` as the parameters of ``function`` and call it; flags (``bool``) need no value.

    Raises:
        UserError: an unknown option, a missing one, or a value of the wrong type.
    """
    parser = ArgumentParser(prog=f"avjepa {name}", exit_on_error=False, allow_abbrev=False)
    parser.add_function_arguments(function, as_positional=False, sub_configs=True)
    parser.description = (function.__doc__ or "").split("\n\n")[0]
    try:
        options = parser.instantiate_classes(parser.parse_args(with_flag_values(function, arguments)))
    except ArgumentError as error:
        raise UserError(readable(error, parser.get_defaults().keys())) from error
    function(**options.as_dict())
