"""Configuration files as plain values: files that name others, and changes to them."""

import contextlib
import importlib
import inspect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from avjepa.bounded_yaml import LARGEST, require_bounded
from avjepa.data.channels import load_channels
from avjepa.errors import UserError
from avjepa.files import read_text

_TAXONOMY = "taxonomy"
"""The key whose file is no configuration but a name that the configuration holds."""
_CHANNELS = "channels"
"""The key whose file says which channels are which sensor's."""


def load_config(path: str | Path) -> Any:
    """What a configuration file says, with the files that it names put in their place.

    Raises:
        UserError: one of them is not there, cannot be read, names itself, or is larger than any configuration.
    """
    return _Inliner().file(Path(path))


def inlined(value: Any, path: Path) -> Any:
    """A value from the file ``path`` in which names of files, relative to it, have given way to what the files say.

    Raises:
        UserError: as for ``load_config``.
    """
    inliner = _Inliner()
    with inliner.reading(path):
        return inliner.value(value, path)


def read_yaml(path: Path) -> Any:
    """What a YAML file says, whose anchors stand for nothing large and nothing endless.

    Raises:
        UserError: it cannot be read, or is larger than any configuration.
    """
    try:
        text = read_text(path)
        require_bounded(text)
        return yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())[:300]})") from error


def located(value: Any, folder: Path) -> Any:
    """The name of a file in a folder as its whole path; anything else as it is."""
    return str((folder / value).resolve()) if isinstance(value, str) and os.path.isfile(folder / value) else value


def require_file_of_channels(path: Path, where: str) -> None:
    """Raise for a file that says no channels.

    Raises:
        UserError: naming where the file is named, the file and what in it is wrong.
    """
    try:
        load_channels(path)
    except UserError as error:
        raise UserError(f"{where} {error}") from error


class _Inliner:
    """Puts files in the place of their names, and sees that this comes to an end."""

    def __init__(self) -> None:
        self._reading: list[Path] = []
        self._values = 0
        self._contents: dict[Path, Any] = {}

    def file(self, path: Path) -> Any:
        with self.reading(path):
            if path not in self._contents:
                self._contents[path] = read_yaml(path)
            return self.value(self._contents[path], path)

    @contextlib.contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        whole = path.resolve()
        if whole in self._reading:
            raise UserError(f"{path}: names itself, by way of {self._reading[-1]}; name another file there")
        self._reading.append(whole)
        yield
        self._reading.pop()

    def value(self, value: Any, path: Path) -> Any:
        self._values += 1
        if self._values > LARGEST:
            raise UserError(f"{path}: more than {LARGEST} values with the files that it names written out")
        match value:
            case dict():
                if isinstance(channels := value.get(_CHANNELS), str):
                    require_file_of_channels(path.parent / channels, f"{path}: {_CHANNELS}:")
                return {
                    name: located(item, path.parent) if name == _TAXONOMY else self.value(item, path)
                    for name, item in value.items()
                }
            case list():
                return [self.value(item, path) for item in value]
            case str() if value.endswith(".yaml"):
                if not os.path.isfile(path.parent / value):
                    raise UserError(
                        f"{path}: names {value}, and there is no file of that name beside it; correct the name"
                    )
                return self.file(path.parent / value)
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
        shared = {name: value for name, value in (base.get("init_args") or {}).items() if name in accepted}
        return {"class_path": changes["class_path"], "init_args": merged(shared, changes.get("init_args", {}))}
    return {**base, **{name: merged(base.get(name), value) for name, value in changes.items()}}


def _parameters(class_path: Any) -> set[str]:
    module, _, name = str(class_path).rpartition(".")
    try:
        return set(inspect.signature(getattr(importlib.import_module(module), name).__init__).parameters)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"overrides: class_path {class_path!r} names no class ({error}); give its full path") from error
