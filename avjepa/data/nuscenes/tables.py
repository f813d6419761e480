"""Reading nuScenes tables (JSON lists of records) one record at a time, and saying what is wrong with them."""

import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from avjepa.errors import UserError

Record: TypeAlias = dict[str, Any]

_CHUNK = 1 << 22
_LARGEST_RECORD = 1 << 25
_SEPARATORS = " \t\r\n,"


@dataclass(frozen=True)
class TableProblem:
    """One thing that is wrong with a table."""

    table: str
    """Path of the table below the data root."""
    token: str
    """Token of the record, or its number where it has none."""
    problem: str

    def __str__(self) -> str:
        return f"{self.table}: record {self.token}: {self.problem}"


OnTableProblem: TypeAlias = Callable[[TableProblem], None]
"""Called with every problem; a handler that returns has the record left out."""


def stop_at_problem(problem: TableProblem) -> None:
    """The handler of training and evaluation: no record may be wrong."""
    raise UserError(f"{problem}; mend the table, or see 'avjepa inspect' for everything that is broken")


def version_folder(dataroot: str | os.PathLike[str], version: str) -> Path:
    """The folder of a version's tables. Raises ``UserError`` that lists the versions there are."""
    root = Path(dataroot)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the root of a dataset in nuScenes format")
    folder = root / version
    if not (folder / "sample_data.json").is_file():
        found = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
        hint = f"versions found there: {', '.join(found)}" if found else "no folder there holds nuScenes tables"
        raise UserError(f"{root}: no version {version!r}; {hint}")
    return folder


def read_table(path: Path) -> Iterator[Record]:
    """Records of a table, one at a time.

    The tables of nuScenes trainval have up to 1.3 GB; parsing them whole takes ten times as much memory.

    Raises:
        UserError: the table is missing, is no list of records, or is broken JSON (named with the byte).
    """
    decoder = json.JSONDecoder()
    try:
        with path.open(encoding="utf-8") as file:
            buffer, position, read = file.read(_CHUNK).lstrip(), 0, 0
            if not buffer.startswith("["):
                raise UserError(f"{_short(path)}: expected a JSON list of records; restore the table")
            position = 1
            while True:
                while position < len(buffer) and buffer[position] in _SEPARATORS:
                    position += 1
                try:
                    if buffer[position : position + 1] == "]":
                        return
                    record, position = decoder.raw_decode(buffer, position)
                except json.JSONDecodeError as error:
                    chunk = file.read(_CHUNK)
                    if not chunk or len(buffer) - position > _LARGEST_RECORD:
                        raise UserError(
                            f"{_short(path)}: broken JSON near character {read + error.pos} ({error.msg}); "
                            "restore the table"
                        ) from None
                    read += position
                    buffer, position = buffer[position:] + chunk, 0
                    continue
                if not isinstance(record, dict):
                    raise UserError(f"{_short(path)}: expected a JSON list of records; restore the table")
                yield record
    except FileNotFoundError:
        raise UserError(f"{_short(path)}: the table is missing; restore it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{_short(path)}: the table cannot be read ({error}); restore it") from None


def records(folder: Path, table: str, on_problem: OnTableProblem, *needed: str) -> Iterator[Record]:
    """Records of ``<folder>/<table>.json`` that have a token and the needed fields; the others are problems."""
    path = folder / f"{table}.json"
    for number, record in enumerate(read_table(path)):
        missing = [field for field in ("token", *needed) if field not in record]
        if missing:
            token = str(record.get("token", f"number {number}"))
            on_problem(TableProblem(_short(path), token, f"the field {missing[0]!r} is missing"))
        else:
            yield record


def dangling_links(folder: Path, table: str, link: str, target: str) -> list[TableProblem]:
    """Records of a table whose field ``link`` is neither empty nor the token of a record of the table ``target``."""
    ignore = list[TableProblem]().append
    keys = np.array([token_key(record["token"]) for record in records(folder, target, ignore)], np.uint64)
    tokens, wanted = [], array("Q")
    for record in records(folder, table, ignore, link):
        if record[link]:
            tokens.append(record["token"])
            wanted.append(token_key(record[link]))
    dangling = np.flatnonzero(~np.isin(np.array(wanted, np.uint64), keys))
    name = table_name(folder, table)
    return [TableProblem(name, tokens[row], f"{link} points to no record") for row in dangling]


def token_key(token: str) -> int:
    """A token as 64 bits, for joining tables of millions of rows (2.6 M tokens collide with probability 2e-7)."""
    return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little")


def table_name(folder: Path, table: str) -> str:
    """How messages name a table: its path below the data root."""
    return _short(folder / f"{table}.json")


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
