"""Command-line options from the signature of a function, with errors in one line."""

import inspect
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from avjepa.errors import UserError


def readable(error: Exception) -> str:
    """jsonargparse's message as one line that names the option."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines) + "; see --help"


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
        raise UserError(readable(error)) from error
    function(**options.as_dict())
