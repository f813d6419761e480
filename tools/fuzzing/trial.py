"""What one case asks: commands over spoilt input, and what has to be said about it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from fuzzing.world import World


@dataclass(frozen=True)
class Trial:
    """Input that was spoilt, and who has to read it.

    Attributes:
        change: what was done, in words.
        commands: arguments of the command line, run one after another.
        names: a refusal has to hold one of them: the file, the option, the field.
        harmful: whether ``watchers`` have to object: refuse, or say so on stderr; ``inspect`` has to list a problem.
        watchers: the commands that have to object to harmful input; all of them where none is named.
        forbidden: files that must not be there afterwards, because only code from the input could have written them.
    """

    change: str
    commands: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    harmful: bool = False
    watchers: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = field(default=())

    def must_object(self, command: str) -> bool:
        """Whether this command may not let the input pass without a word."""
        return self.harmful and (not self.watchers or command in self.watchers)


Kind = Callable[[Random, World], Trial]
"""Spoils a world, which is the case's own copy, and says who shall read it."""
