"""The parts of a network by depth, for whoever treats shallow and deep ones differently."""

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Layered(Protocol):
    """A module that knows the order of its parts."""

    def layer_order(self) -> list[nn.Module]:
        """Its parts from input to output. Parts that work side by side are one module."""


def registration_order(module: nn.Module) -> list[nn.Module]:
    """The children of a module in the order in which its constructor registered them.

    Every entry of a ``ModuleList`` counts by itself, a child that is ``Layered`` by its own parts; children without
    parameters are left out.
    """
    parts: list[nn.Module] = []
    for child in module.children():
        if isinstance(child, Layered):
            parts += child.layer_order()
        else:
            parts += child if isinstance(child, nn.ModuleList) else [child]
    return [part for part in parts if any(True for _ in part.parameters())]
