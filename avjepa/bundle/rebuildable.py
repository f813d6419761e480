"""Modules that know how to be built again."""

import inspect
from typing import Any, TypeVar

from torch import nn

Module = TypeVar("Module", bound="Rebuildable")


class OptionsOfKinds:
    """Options, a dataclass, of which there are several kinds behind one argument: a manifest names the kind."""


class Rebuildable(nn.Module):
    """A module that notes its constructor's arguments, so that a bundle can build it again from plain values.

    Arguments are plain values, dataclasses of plain values, and other rebuildable modules, alone or in lists and
    dictionaries: backbones, encoders, fusers, necks and heads form a tree.
    """

    _constructor_arguments: dict[str, Any]

    def __new__(cls: type[Module], *args: Any, **kwargs: Any) -> Module:
        """Note the constructor arguments: here and not in ``__init__``, so that a subclass need not think of it."""
        module: Module = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(module, *args, **kwargs)
        except TypeError:
            return module  # copy and pickle pass nothing and restore the attribute; a wrong call fails in __init__
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(name))
        arguments.pop(next(iter(bound.signature.parameters)))  # self
        module.__dict__["_constructor_arguments"] = arguments
        return module

    def bundle_arguments(self) -> dict[str, Any]:
        """Constructor arguments from which a bundle rebuilds the module: those it was built with.

        A module whose arguments name files to start from (pre-trained image weights) returns arguments that do
        without them: the bundle holds the weights, and the files may be gone.
        """
        return dict(self._constructor_arguments)

    def bundle_facts(self) -> dict[str, Any]:
        """What a reader of the manifest wants to know without building the module. Plain values."""
        return {}
