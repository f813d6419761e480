"""``avjepa configs``: the configurations that come with the package."""

import re
from collections.abc import Sequence
from itertools import takewhile

from avjepa.commands.parsing import run_function
from avjepa.commands.shipped import CONFIGS, configuration_file, names_of
from avjepa.commands.subcommands import chosen
from avjepa.errors import UserError
from avjepa.files import read_text

SUBCOMMANDS = {"list": "name the configurations that ship, by kind", "show": "print one of them: show finetune/lidar"}


def list_configs(kind: str | None = None) -> None:
    """Name the configurations that ship; each is used by its name, as in avjepa pretrain lidar_tiny.

    Args:
        kind: those of one kind alone.
    """
    kinds = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir())
    if kind is not None and kind not in kinds:
        raise UserError(f"--kind {kind}: there are {', '.join(kinds)}")
    for one in kinds if kind is None else [kind]:
        for name in names_of(one):
            print(f"{one + '/' + name:<44}{described(read_text(CONFIGS / one / f'{name}.yaml'))}".rstrip())


def described(content: str) -> str:
    """The first sentence of the comment that a configuration begins with; empty where it has none."""
    comment = takewhile(lambda line: re.match("# [^ ]", line), content.splitlines())  # commands stand further in
    words = " ".join(line.removeprefix("# ") for line in comment)
    return re.split(r"\.(?:\s|$)", words, maxsplit=1)[0].removesuffix(":")


def show_config(name: str) -> None:
    """Print a configuration that ships.

    Args:
        name: kind and name, as in finetune/lidar_tiny.
    """
    kind, slash, rest = name.partition("/")
    if not slash:
        raise UserError(f"{name}: name its kind too, as in pretrain/lidar_tiny; 'avjepa configs list' names all")
    if not (CONFIGS / kind).is_dir():
        raise UserError(f"{name}: there is no kind '{kind}'; 'avjepa configs list' names all")
    file = configuration_file(rest.removesuffix(".yaml"), kind, option=f"{kind}/")
    if not file.is_relative_to(CONFIGS):
        raise UserError(f"{name}: is a path; give kind and name of a configuration that ships")
    print(read_text(file), end="")


def run(arguments: Sequence[str]) -> None:
    """Parse and run a subcommand.

    Raises:
        UserError: there is no such subcommand, or an error of its own.
    """
    name = chosen("configs", SUBCOMMANDS, arguments)
    rest = list(arguments[1:])
    if name == "list":
        run_function("configs list", list_configs, rest)
    elif name == "show":
        named = [f"--name={rest[0]}", *rest[1:]] if rest and not rest[0].startswith("-") else rest
        run_function("configs show", show_config, named)
