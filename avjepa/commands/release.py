"""``avjepa release``: backbones frozen under a version, heads release by release."""

import importlib
from collections.abc import Sequence

from avjepa.commands.subcommands import chosen

SUBCOMMANDS = {
    "freeze": ("release_freeze", "put a training's backbone into the store, immutable, under a version"),
    "cache": ("release_cache", "compute a frozen backbone's maps of a data set, in parallel"),
    "train": ("release_train", "train heads on a frozen backbone, from its maps, and score them"),
    "evaluate": ("release_evaluate", "score a release on other data, through its backbone"),
    "compare": ("release_compare", "what one release gains and loses against another; passed or failed"),
    "note": ("release_compare", "write the release note of a comparison"),
    "list": ("release_list", "what the store holds, and what is candidate and champion"),
    "promote": ("release_list", "make a release the candidate, or, past the gate, the champion"),
    "roll-back": ("release_list", "make the champion what it was before"),
    "export": ("release_export", "write one deployable artefact of backbone and heads"),
}
"""Module and summary of every subcommand; the module's function is ``run_NAME``."""


def run(arguments: Sequence[str]) -> None:
    """Parse and run a subcommand.

    Raises:
        UserError: there is no such subcommand, or an error of its own.
    """
    name = chosen("release", {name: summary for name, (_, summary) in SUBCOMMANDS.items()}, arguments)
    if name is not None:
        module = importlib.import_module(f"avjepa.commands.{SUBCOMMANDS[name][0]}")
        getattr(module, f"run_{name.replace('-', '_')}")(arguments[1:])
