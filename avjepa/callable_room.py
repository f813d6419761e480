"""Rooms that are called like the command of their name: ``avjepa.pretrain(...)`` beside ``avjepa.pretrain.masking``."""

import importlib
import sys
from types import ModuleType
from typing import Any


class CallableRoom(ModuleType):
    """A package whose call is the function of its name in ``avjepa.api``."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What the function gives."""
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module("avjepa.api"), name)(*arguments, **options)


def make_callable(room: str) -> None:
    """Let a package be called.

    Args:
        room: its dotted name.
    """
    sys.modules[room].__class__ = CallableRoom
