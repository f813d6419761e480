"""The reference of the command line: what ``--help`` says of every command."""

import contextlib
import io
import os
import re

from avjepa.cli import COMMANDS, overview, run_command
from avjepa.commands import configs, reid, release

SUBCOMMANDS = {
    "release": list(release.SUBCOMMANDS),
    "reid": list(reid.SUBCOMMANDS),
    "configs": list(configs.SUBCOMMANDS),
}
"""Of the commands that have some."""
OF_LIGHTNING = re.compile(
    r"^  --trainer\.(?!max_steps|devices|num_nodes|accelerator|precision|strategy)\S.*(\n {6,}.*)*\n", re.M
)
"""Options that Lightning's own documentation describes."""


def help_of(*words: str) -> str:
    """What ``avjepa WORDS --help`` prints, 100 columns wide."""
    os.environ["COLUMNS"] = "100"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        run_command(words[0], [*words[1:], "--help"])
    return OF_LIGHTNING.sub("", said.getvalue()).rstrip()


def page() -> str:
    """The whole reference as Markdown."""
    lines = ["# Commands", "", "```text", overview(), "```", ""]
    for name, summary in COMMANDS.items():
        lines += [f"## avjepa {name}", "", f"{summary[0].upper()}{summary[1:]}.", ""]
        for words in [(name, subcommand) for subcommand in SUBCOMMANDS.get(name, [])] or [(name,)]:
            if len(words) > 1:
                lines += [f"### avjepa {' '.join(words)}", ""]
            lines += ["```text", help_of(*words), "```", ""]
    return "\n".join(lines)
