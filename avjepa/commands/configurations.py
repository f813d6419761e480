"""Configuration files as plain values: files that name others, and changes to them."""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from avjepa.errors import UserError


def load_config(path: str | Path) -> Any:
    """What a configuration file says, with the files that it names put in their place.

    Raises:
        UserError: one of them cannot be read.
    """
    path = Path(path)
    try:
        return inlined(yaml.safe_load(path.read_text(encoding="utf-8")), path.parent)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); the study's file names it"
        ) from error


def inlined(value: Any, folder: Path) -> Any:
    """A value in which names of files, relative to a folder, have given way to what the files say."""
    match value:
        case dict():
            return {name: inlined(item, folder) for name, item in value.items()}
        case list():
            return [inlined(item, folder) for item in value]
        case str() if value.endswith(".yaml") and (folder / value).is_file():
            return load_config(folder / value)
    return value


def merged(base: Any, changes: Any) -> Any:
    """A configuration with other values for some keys, at any depth.

    Where a class gives way to another one, arguments that the other takes too stay as they are: objectives that are
    compared have the same encoder, masks and input drop-out without their being repeated.

    Raises:
        UserError: there is no such class.
    """
    if not isinstance(base, Mapping) or not isinstance(changes, Mapping):
        return changes
    if "class_path" in changes and changes["class_path"] != base.get("class_path"):
        accepted = _parameters(changes["class_path"])
        shared = {name: value for name, value in base.get("init_args", {}).items() if name in accepted}
        return {"class_path": changes["class_path"], "init_args": merged(shared, changes.get("init_args", {}))}
    return {**base, **{name: merged(base.get(name), value) for name, value in changes.items()}}


def _parameters(class_path: str) -> set[str]:
    module, _, name = class_path.rpartition(".")
    try:
        return set(inspect.signature(getattr(importlib.import_module(module), name).__init__).parameters)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"overrides: class_path {class_path!r} names no class ({error}); give its full path") from error
