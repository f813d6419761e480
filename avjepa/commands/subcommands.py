"""Commands that have subcommands: their overview, and which of them is meant."""

import difflib
from collections.abc import Mapping, Sequence

from avjepa.errors import UserError


def chosen(command: str, summaries: Mapping[str, str], arguments: Sequence[str]) -> str | None:
    """The subcommand that stands first; ``None`` where help was asked for, which is printed.

    Args:
        command: its name.
        summaries: a line on every subcommand.
        arguments: behind the command.

    Raises:
        UserError: there is no such subcommand.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"usage: avjepa {command} SUBCOMMAND [OPTIONS]", ""]
        lines += [f"  {name:<12}{summary}" for name, summary in summaries.items()]
        print("\n".join([*lines, "", f"avjepa {command} SUBCOMMAND --help lists the options."]))
        return None
    name = arguments[0]
    if name not in summaries:
        close = difflib.get_close_matches(name, summaries, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(summaries)}"
        raise UserError(f"{command}: unknown subcommand {name!r:.80}; {hint}")
    return name
