"""Checks of a study's YAML before it is parsed: every mistake is one line that names the file and the key."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from avjepa.errors import UserError


def require_file_name(part: str, name: str) -> None:
    """Raise ``UserError`` for a name of ``part`` that no file can have in it."""
    if not name.replace("_", "").isalnum():
        raise UserError(f"{part}: {name!r} becomes part of file names; use letters, digits and _")


def require_known(given: Any, kind: type, where: str, path: Path) -> None:
    """Raise ``UserError`` for what are no keys and values, or a key that ``kind`` does not have."""
    if not isinstance(given, Mapping):
        raise UserError(f"--config {path}: {where or 'the file'} must be keys and values, got {given!r}")
    known = [field.name for field in fields(kind)]
    if unknown := [name for name in given if name not in known]:
        place = f"{where}.{unknown[0]}" if where else unknown[0]
        raise UserError(f"--config {path}: unknown key {place}; there are {', '.join(known)}")


def require_no_empty_list(given: Any, where: str, path: Path) -> None:
    """Raise ``UserError`` for a list without an entry, at any depth."""
    if given == []:
        raise UserError(f"--config {path}: {where}: the list is empty; fill it, or leave it out")
    for name, value in given.items() if isinstance(given, Mapping) else ():
        require_no_empty_list(value, f"{where}.{name}" if where else str(name), path)
