"""Configurations that come with the package, by name."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import avjepa
from avjepa.errors import UserError

CONFIGS = Path(avjepa.__file__).resolve().parent / "configs"
"""One folder a kind: ``pretrain``, ``finetune``, ``heads``, ``label_efficiency``, ..."""
ADDRESSED = {"pretrain": "pretrain", "finetune": "finetune", "release train": "heads"}
"""Of which kind a configuration is that a command is given by name."""


def names_of(kind: str) -> list[str]:
    """Of the configurations of a kind."""
    return sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml"))


def configuration_file(value: str | Path, kind: str, option: str = "--config ") -> Path:
    """The file of a configuration: a path is itself, a name without ending is one of those that ship, with its kind or
    without.

    Raises:
        UserError: there is neither.
    """
    path = Path(value)
    if path.suffix or path.exists() or len(path.parts) > 2 or path.is_absolute():
        return path
    if len(path.parts) == 2:  # as "avjepa configs list" names it
        return named if (named := CONFIGS / f"{value}.yaml").is_file() else path
    file = CONFIGS / kind / f"{value}.yaml"
    if not file.is_file():
        close = difflib.get_close_matches(str(value), names_of(kind), n=1)
        hint = f"did you mean {close[0]}?" if close else "'avjepa configs list' names them"
        raise UserError(f"{option}{value}: is no file, and no configuration of that name ships; {hint}")
    return file


def with_configuration(arguments: Sequence[str], kind: str) -> list[str]:
    """The arguments of a training with its configurations as files: ``NAME`` in front, and ``--config NAME``.

    Raises:
        UserError: see ``configuration_file``.
    """
    given = list(arguments)
    if given and not given[0].startswith("-"):
        given = ["--config", *given]
    result: list[str] = []
    for argument in given:
        name, equals, value = argument.partition("=")
        if result[-1:] == ["--config"]:
            result.append(str(configuration_file(argument, kind)))
        elif name == "--config" and equals:
            result += [name, str(configuration_file(value, kind))]
        else:
            result.append(argument)
    return result
