"""Options of trainings under shorter names, which the other commands have too."""

from collections.abc import Iterable, Sequence

from avjepa.commands.branch_bundles import as_mapping

SHORTHANDS = {
    "--data": "--data.dataroot",
    "--version": "--data.version",
    "--on_bad_file": "--data.on_bad_file",
    "--steps": "--trainer.max_steps",
    "--seed": "--seed_everything",
    "--bundle": "--model.bundle",
    "--init_heads": "--model.init_heads",
}
"""Options that every training run sets, and what they stand for."""


def epilogue(names: Iterable[str] = SHORTHANDS) -> str:
    """A line for the end of a command's help on the shorthands that it takes."""
    return "Shorthands: " + ", ".join(f"{name} = {SHORTHANDS[name]}" for name in names)


def expanded(arguments: Sequence[str]) -> list[str]:
    """The arguments with shorthands written out, and ``--bundles lidar=DIR,radar=DIR`` as a mapping.

    Raises:
        UserError: see ``branch_bundles.as_mapping``.
    """
    result: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if result[-1:] == ["--bundles"]:
            result.append(as_mapping(argument))
        elif name == "--bundles" and equals:
            result += [name, as_mapping(value)]
        else:
            result.append(SHORTHANDS.get(name, name) + equals + value)
    return result
