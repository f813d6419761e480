"""Writing files so that nothing half-written ever carries a final name; reading small ones whatever they hold."""

import contextlib
import csv
import gc
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_HIDDEN = re.compile(r"(^|/)\.([^/]+)\.part(?=/|$|[\s:;,])")


def hidden_folder(final: Path) -> Path:
    """Where something is made that will have a name once it is whole."""
    return final.parent / f".{final.name}.part"


def with_final_names(text: object) -> str:
    """A text in which what is made in a hidden folder has the name that it will have."""
    return _HIDDEN.sub(r"\1\2", str(text))


@contextlib.contextmanager
def naming(path: str | os.PathLike[str], *aliases: str) -> Iterator[None]:
    """Give an error of writing the name of the file, which a full disk's error lacks, instead of none or an alias."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, *aliases):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, on any error it is removed.

    An error of writing (``OSError``) names ``path``.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(final, name):
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete what processes that were killed in ``replacing`` left in a folder, not below it.

    Only for a folder that nobody else is writing, see ``avjepa.locking``.
    """
    for path in Path(folder).glob(".*.part"):
        path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 2) -> None:
    """Write ``value`` as JSON to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


def require_regular(path: str | os.PathLike[str]) -> None:
    """Raise ``OSError`` unless a path leads to a regular file: a pipe would be waited for, a device has no end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("this is no regular file (a folder, pipe, socket or device)")


def read_text(path: str | os.PathLike[str]) -> str:
    """What a text file in UTF-8 says.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is no text in UTF-8, or larger than the memory.
    """
    require_regular(path)
    try:
        return Path(path).read_text(encoding="utf-8")
    except MemoryError:
        raise ValueError("the file is larger than the memory") from None


def read_json(
    path: str | os.PathLike[str], object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """What a JSON file holds; the hook is that of ``json.loads``.

    Raises:
        OSError, ValueError: see ``read_text``; or it is broken JSON, or nested deeper than Python can follow.
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook)
    except RecursionError:
        raise ValueError("objects or lists are nested too deep") from None


def read_csv(path: str | os.PathLike[str]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The columns of a CSV file, and its rows by column; a value that a row lacks is ``None``.

    Raises:
        OSError, ValueError: see ``read_text``; or it is broken CSV.
    """
    reader = csv.DictReader(io.StringIO(read_text(path)))
    try:
        return tuple(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise ValueError(str(error)) from None


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """For parsing: the collector would look through millions of small tuples again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
