"""Options of a command that stands in front of another one, whose options it passes on."""

from collections.abc import Collection, Sequence

from avjepa.errors import UserError


def split_options(
    arguments: Sequence[str], own: Collection[str], required: Sequence[str], command: str
) -> tuple[dict[str, str], list[str]]:
    """A command's own options by name, and the other arguments as they are.

    Args:
        arguments: behind the command's name, ``--name value`` or ``--name=value``.
        own: names of its options, which all take a value.
        required: those that must be given.
        command: how errors call it.

    Raises:
        UserError: one of them lacks its value, stands there twice, or is missing.
    """
    found: dict[str, str] = {}
    rest = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in own:
            rest.append(word)
            continue
        if name in found:
            raise UserError(f"{name}: is given twice; give it once")
        given = value if equals else next(words, None)
        if given is None or (not equals and given.startswith("--")):
            raise UserError(f"{name}: needs a value; see avjepa {command} --help")
        found[name] = given
    if missing := [name for name in required if name not in found]:
        raise UserError(f"{', '.join(missing)}: must be given; see avjepa {command} --help")
    return found, rest
