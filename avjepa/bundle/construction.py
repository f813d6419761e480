"""From modules to plain values and back: ``{class_path, init_args}``, nested.

Nothing is imported because a manifest, or the configuration in a run's folder, says so: a class comes from avjepa or
from a module that the user trusts.
"""

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from sys import modules
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from avjepa.bounded_yaml import require_bounded
from avjepa.bundle import TRUSTED
from avjepa.bundle.rebuildable import OptionsOfKinds, Rebuildable
from avjepa.errors import UserError
from avjepa.files import read_text
from avjepa.parsed_values import parsed

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_DEEPEST = 50

Built = TypeVar("Built", bound=Rebuildable)


def plain(value: Any) -> Any:
    """A constructor argument as JSON holds it.

    Dataclasses become dictionaries, tuples lists, paths strings, modules and options of several kinds
    ``{class_path, init_args}``.

    Raises:
        TypeError: the value is none of these, so a manifest could not rebuild it.
    """
    if isinstance(value, Rebuildable):
        return architecture(value)
    if isinstance(value, OptionsOfKinds):
        assert is_dataclass(value)
        arguments = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"class_path": _public_path(type(value)), "init_args": arguments}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be written to a manifest")


def architecture(module: Rebuildable) -> dict[str, Any]:
    """``class_path`` and ``init_args`` from which ``build`` makes the same module, without its weights."""
    return {"class_path": _public_path(type(module)), "init_args": plain(module.bundle_arguments())}


def _public_path(cls: type) -> str:
    """The shortest path under which a class can be imported: a room's own names outlive the files within it."""
    parts = cls.__module__.split(".")
    for length in range(1, len(parts)):
        package = modules.get(".".join(parts[:length]))
        if getattr(package, cls.__name__, None) is cls:
            return ".".join([*parts[:length], cls.__name__])
    return f"{cls.__module__}.{cls.__qualname__}"


def build(kind: type[Built], node: Mapping[str, Any], source: str) -> Built:
    """Build a module from plain values, as the command line does from YAML. Its weights are new.

    Args:
        kind: the class, or the base class, that it has to be of.
        node: ``class_path`` and ``init_args``, nested.
        source: what to call the origin of these values in an error.

    Raises:
        UserError: a class is not to be trusted, there is no such class, or it does not take these arguments.
    """
    require_trusted(node, source)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "module", required=True)
    try:
        module = parser.instantiate_classes(parsed(parser, {"module": node})).module
    except (ArgumentError, TypeError, ValueError, AttributeError, KeyError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{source}: cannot build {node.get('class_path')} ({reason}); it must be a {kind.__name__} of this version "
            "of avjepa"
        ) from error
    if not isinstance(module, kind):
        raise UserError(f"{source}: {node.get('class_path')} is no {kind.__name__}; export it again")
    return module


def require_trusted(node: Any, source: str) -> None:
    """Raise if plain values name, anywhere, something that is neither in avjepa nor in a module the user trusts.

    Every ``class_path`` counts, and whatever else is the path of something that could be imported, since the parser of
    arguments may take any text for one; so does what a file says whose name stands there, since it may read that.
    Classes of modules that are loaded already, because the user's configuration names them, need no import.

    Raises:
        UserError: naming it, and the option that would admit it.
    """
    trusted = {"avjepa", *trusted_modules()}
    for key, text in _texts(node, source):
        names = text.split(".")
        if key != "class_path" and not _can_be_imported(names[0]):
            continue
        known = any(".".join(names[:end]) in trusted for end in range(1, len(names))) or _is_loaded(text)
        if _IMPORT_PATH.fullmatch(text) and not known:
            raise UserError(
                f"{source}: names {text}, which is not in avjepa, so it is not imported; if you trust that code, add "
                f"--trust {names[0]}"
            )


def trusted_modules() -> list[str]:
    """Those that the user names, see ``TRUSTED``."""
    return [name for part in os.environ.get(TRUSTED, "").split(",") if (name := part.strip())]


def import_trusted() -> None:
    """Import the modules that the user trusts, so that what they register (``data.datasets.register_layout``) is known.

    Raises:
        UserError: there is no such module, most likely because its name is misspelt or its folder unknown to Python; or
            it cannot be imported.
    """
    for name in trusted_modules():
        try:
            found = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):  # of a package above it
            found = name in modules
        if not found:
            raise UserError(
                f"--trust {name} (or {TRUSTED}): there is no such module to import; correct its name, or add its "
                "folder to PYTHONPATH"
            )
        try:
            importlib.import_module(name)
        except Exception as error:
            raise UserError(f"--trust {name}: importing it fails ({error!r}); mend it (--debug shows where)") from error


def _is_loaded(class_path: str) -> bool:
    module, _, name = class_path.rpartition(".")
    found = getattr(modules.get(module), name, None)
    return isinstance(found, type) and issubclass(found, Rebuildable)


def _can_be_imported(name: str) -> bool:
    """Whether there is a module of a name without dots. Imports nothing."""
    try:
        return name in modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _texts(node: Any, source: str, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text and the key it stands under, also of files that are named."""
    if depth > _DEEPEST:
        raise UserError(f"{source}: is nested too deeply; export it again")
    if isinstance(node, str):
        yield key, node
        yield from _texts(_said_by_file(node), source, key, depth + 1)
    elif isinstance(node, Mapping):
        for name, item in node.items():
            yield from _texts(item, source, str(name), depth + 1)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _texts(item, source, key, depth + 1)


def _said_by_file(name: str) -> Any:
    """What a file says as YAML; ``None`` where there is no such file or it is no YAML, as a file of weights is none."""
    try:
        if not os.path.isfile(name):
            return None
        text = read_text(name)
        require_bounded(text)
        return yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
