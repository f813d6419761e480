"""Reading nuScenes tables (JSON lists of records) in chunks, and saying what is wrong with them."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from avjepa.data.nuscenes.record_check import checked_record
from avjepa.data.nuscenes.records import Record
from avjepa.errors import UserError
from avjepa.files import no_garbage_collection

R = TypeVar("R", bound=Record)

_CHUNK = 1 << 18  # bytes: a chunk and its records fit into a processor's cache
_LARGEST_RECORD = 1 << 25  # bytes
_BLANK = b" \t\r\n"
_LONGEST_NUMBER = 300  # digits; a float holds no more


@dataclass(frozen=True)
class TableProblem:
    """One thing that is wrong with a table."""

    table: str
    """Path of the table below the data root."""
    token: str
    """Token of the record, or its number where it has none."""
    problem: str
    blocks: bool = True
    """Whether training and evaluation stop at it; otherwise ``inspect`` alone speaks of it."""

    @property
    def record(self) -> str:
        """The token in printable characters, and not too many of them."""
        return (self.token if self.token.isprintable() else ascii(self.token))[:80]

    def __str__(self) -> str:
        return f"{self.table}: record {self.record}: {self.problem}"


OnTableProblem: TypeAlias = Callable[[TableProblem], None]
"""Called with every problem; a handler that returns has a record with a problem that ``blocks`` left out."""


def pass_over_problem(problem: TableProblem) -> None:
    """The handler of ``inspect``, which asks for the problems afterwards."""


def stop_at_problem(problem: TableProblem) -> None:
    """The handler of training and evaluation: no record that they use may be wrong."""
    if problem.blocks:
        raise UserError(f"{problem}; mend the table, or see 'avjepa inspect' for everything that is broken")


def version_folder(dataroot: str | os.PathLike[str], version: str) -> Path:
    """The folder of a version's tables. Raises ``UserError`` that lists the versions there are."""
    root = Path(dataroot)
    if not root.is_dir():
        problem = "is no folder" if root.exists() else "no such folder"
        raise UserError(f"{root}: {problem}; give the root of a dataset in nuScenes format")
    folder = root / version
    if not (folder / "sample_data.json").is_file():
        found = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
        hint = f"versions found there: {', '.join(found)}" if found else "no folder there holds nuScenes tables"
        raise UserError(f"{root}: no version {version!r}; {hint}")
    return folder


def table_name(folder: Path, table: str) -> str:
    """How messages name a table: its path below the data root."""
    return f"{folder.name}/{table}.json"


@dataclass(frozen=True)
class TableReader:
    """Reads the tables of one version.

    Args:
        folder: where they lie.
        on_problem: called with everything that is wrong.
        on_bytes: called with the number of bytes that were read since the last call, for a progress bar.
    """

    folder: Path
    on_problem: OnTableProblem
    on_bytes: Callable[[int], object] = lambda count: None
    left_out: set[str] = field(default_factory=set)
    """Tokens of the records with a problem that blocks: a link to one of them is no second problem."""
    problems: list[TableProblem] = field(default_factory=list)
    """All that were reported."""

    def report(self, table: str, token: str, problem: str, blocks: bool = True) -> None:
        """Hand a problem on."""
        if blocks:
            self.left_out.add(token)
        found = TableProblem(table_name(self.folder, table), token, problem, blocks)
        self.problems.append(found)
        self.on_problem(found)

    def records(self, record_type: type[R]) -> Iterator[R]:
        """The records of a small table, one at a time."""
        return chain.from_iterable(self.batches(record_type))

    def tokens(self, record_type: type[R]) -> Callable[[int], str]:
        """The token of a row of ``batches``, for messages: the table is read again, instead of keeping millions."""
        again = TableReader(self.folder, lambda problem: None)

        @cache
        def every() -> list[str]:
            return [record.token for record in again.records(record_type)]

        return lambda row: every()[row]

    def batches(self, record_type: type[R]) -> Iterator[list[R]]:
        """The records of a table, some thousand at a time; those of the wrong type are problems and left out.

        The tables of nuScenes trainval have up to 1.3 GB; parsing them whole takes ten times as much memory.

        Raises:
            UserError: the table is missing, is no list of records, or is broken JSON (named with the byte).
        """
        table = record_type.table
        name = table_name(self.folder, table)
        path = self.folder / f"{table}.json"
        decoder = msgspec.json.Decoder(list[record_type])  # type: ignore[valid-type]
        consumed = number = 0
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError(f"{name}: this is no regular file; restore the table")
        try:
            with path.open("rb") as file:
                buffer = self._read(file.read(_CHUNK)).lstrip(_BLANK)
                if not buffer.startswith(b"["):
                    raise UserError(f"{name}: expected a JSON list of records; restore the table")
                buffer, last = buffer[1:], False
                while not last:
                    chunk = self._read(file.read(_CHUNK))
                    last = not chunk
                    buffer += chunk
                    end, following = (len(buffer), len(buffer)) if last else _last_border(buffer)
                    if not (end or last):
                        if len(buffer) > _LARGEST_RECORD:
                            raise UserError(f"{name}: no record ends near byte {consumed}; restore the table")
                        continue
                    whole = b"[" + buffer[:end] + (b"" if last else b"]")
                    try:
                        with no_garbage_collection():
                            records = decoder.decode(whole)
                    except (msgspec.DecodeError, RecursionError):
                        records, seen, read, problem = self._one_by_one(whole, record_type, number)
                        if problem and (last or len(buffer) - read > _LARGEST_RECORD):
                            where = f"near byte {consumed + read}"
                            raise UserError(f"{name}: broken JSON {where} ({problem}); restore the table") from None
                        following = read if problem else following
                    else:
                        seen = len(records)
                    number += seen
                    consumed += following
                    buffer = buffer[following:]
                    yield records
        except FileNotFoundError:
            raise UserError(f"{name}: the table is missing; restore it") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name}: the table cannot be read ({error}); restore it") from None

    def _read(self, chunk: bytes) -> bytes:
        self.on_bytes(len(chunk))
        return chunk

    def _one_by_one(self, whole: bytes, record_type: type[R], number: int) -> tuple[list[R], int, int, str]:
        """A chunk that the typed decoder refused: its good records, how many it has, the bytes read, what stopped it.

        What stops the reading may only be that the chunk was cut inside of a record, at what looks like a border.
        """
        text = whole.decode()
        records: list[R] = []
        position, seen, stopped = 1, 0, ""
        while not stopped:
            while position < len(text) and text[position] in " \t\r\n,":
                position += 1
            if text[position : position + 1] == "]":
                stopped = "text after the list" if text[position + 1 :].strip() else ""
                break
            try:
                content, position = _DECODER.raw_decode(text, position)
            except RecursionError:
                stopped = "nested too deep"
            except json.JSONDecodeError as error:
                stopped = error.msg
            else:
                try:
                    records.append(checked_record(content, record_type))
                except ValueError as error:
                    token = content.get("token") if isinstance(content, dict) else None
                    named = token if isinstance(token, str) and token else f"number {number + seen}"
                    self.report(record_type.table, named, str(error))
                seen += 1
        return records, seen, len(text[1:position].encode()), stopped


def _last_border(buffer: bytes) -> tuple[int, int]:
    """Where the last record that is whole ends, and where the next one starts; zeros where there is no border."""
    start = len(buffer)
    while (start := buffer.rfind(b"{", 0, start)) > 0:
        near = max(0, start - 64)
        before = buffer[near:start].rstrip(_BLANK)
        if before.endswith(b",") and (kept := before[:-1].rstrip(_BLANK)).endswith(b"}"):
            return near + len(kept), start
    return 0, 0


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONGEST_NUMBER else float(digits)


_DECODER = json.JSONDecoder(parse_int=_whole_number)
