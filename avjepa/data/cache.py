"""Arrays cached in one memory-mapped file beside the tables they were made from.

The file is a SHA-256 of all that follows, the length of a JSON header (8 bytes), the header (key, info, remarks, and
dtype, shape and offset of every array), and the arrays. A cache may come with the data from anywhere, so nothing in it
is believed before the checksum and the reader's own check have passed. That reads the whole file; for a large one, a
note in the user's cache folder spares it where this user has checked, or written, the unchanged file before.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avjepa.data.arrays import Array
from avjepa.files import replacing, require_regular, write_text

_FORMAT = 3
_DIGEST = 32
_ALIGNMENT = 64
_LARGE = 1 << 24  # bytes; a smaller file is checked within 20 ms
_MOST_REMARKS = 10_000  # beyond them nothing is cached: the header is read whole


@dataclass(frozen=True)
class Cached:
    """Arrays by name, plus anything small that JSON can hold."""

    arrays: dict[str, Array]
    info: dict[str, Any]
    remarks: list[list[Any]] = field(default_factory=list)
    """What was noticed when they were made, as JSON holds it; no part of the fingerprint."""

    def fingerprint(self) -> str:
        """SHA-256 of the arrays and the info: half a second for the 230 MB of nuScenes trainval."""
        digest = hashlib.sha256(json.dumps(self.info, sort_keys=True).encode())
        for name, values in sorted(self.arrays.items()):
            digest.update(f"{name} {values.dtype.str} {values.shape};".encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def cached(
    folder: Path,
    name: str,
    sources: Sequence[Path],
    build: Callable[[], Cached],
    check: Callable[[Cached], object] = lambda contents: None,
) -> Cached:
    """What ``build`` returns, built only if the sources' sizes or times of change differ from those of the cache.

    The cache is ``<folder>/.avjepa-<name>``; where the folder is read-only it lies in the user's cache folder. A cache
    that cannot be written is done without: the result is the same, only slower. One that is damaged is built again.

    Args:
        folder: of the tables.
        name: of the cache.
        sources: files that the result depends on.
        build: makes the result.
        check: raises ``ValueError`` for contents that ``build`` would not make.
    """
    states = [(path.name, path.stat()) for path in sources if path.exists()]
    key = json.dumps([_FORMAT, *([name, state.st_size, state.st_mtime_ns] for name, state in states)])
    path = _location(folder, name)
    with contextlib.suppress(Exception):  # whatever may be wrong with a cache, it can be built again
        return _read(path, key, check)
    result = build()
    if len(result.remarks) > _MOST_REMARKS:
        return result
    try:
        with replacing(path) as temporary:
            _write(temporary, key, result)
        _note(path)
        return _read(path, key, check)
    except OSError:
        return result


def _location(folder: Path, name: str) -> Path:
    # The mode is looked at, too: root may write into a folder that its owner made read-only, and should not.
    if os.access(folder, os.W_OK) and folder.stat().st_mode & 0o222:
        return folder / f".avjepa-{name}"
    return _of_user(folder, name)


def _of_user(folder: Path, name: str) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return home / "avjepa" / f"{digest}-{name}"


def _write(path: Path, key: str, contents: Cached) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in contents.arrays.items()}
    entries: dict[str, tuple[str, tuple[int, ...], int]] = {}
    size = 0
    for name, array in arrays.items():
        entries[name] = (array.dtype.str, array.shape, size)
        size += array.nbytes + -array.nbytes % _ALIGNMENT
    header = json.dumps({"key": key, "info": contents.info, "remarks": contents.remarks, "arrays": entries}).encode()
    header += b" " * (-(_DIGEST + 8 + len(header)) % _ALIGNMENT)
    parts: list[bytes | memoryview] = [len(header).to_bytes(8, "little"), header]
    for array in arrays.values():
        parts += [array.reshape(-1).view(np.uint8).data, bytes(-array.nbytes % _ALIGNMENT)]
    digest = hashlib.sha256()
    with path.open("wb") as file:
        file.write(bytes(_DIGEST))
        for part in parts:
            digest.update(part)
            file.write(part)
        file.seek(0)
        file.write(digest.digest())


def _read(path: Path, key: str, check: Callable[[Cached], object]) -> Cached:
    """Map the file. Raises ``ValueError`` where it was made from other tables or is not what was written."""
    known = _noted(path)
    if not known:
        _require_size(path)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            written = file.read(_DIGEST)
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if digest.digest() != written:
            raise ValueError("the file is not what was written")
    memory = np.memmap(path, np.uint8, "r").view(np.ndarray)
    start = _DIGEST + 8 + int.from_bytes(memory[_DIGEST : _DIGEST + 8].tobytes(), "little")
    header = json.loads(memory[_DIGEST + 8 : start].tobytes())
    if header["key"] != key:
        raise ValueError("the tables have changed")
    arrays: dict[str, Array] = {}
    for name, (dtype, shape, offset) in header["arrays"].items():
        length = int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays[name] = memory[start + offset : start + offset + length].view(dtype).reshape(shape)
    contents = Cached(arrays, header["info"], header["remarks"])
    if not known:
        check(contents)
        _note(path)
    return contents


def _note(path: Path) -> None:
    """Remember that the file is good as it is now."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > _LARGE:
            write_text(_of_user(path.parent, f"{path.name}.checked"), _state(path))


def _noted(path: Path) -> bool:
    try:
        return _of_user(path.parent, f"{path.name}.checked").read_text(encoding="utf-8") == _state(path)
    except (OSError, UnicodeDecodeError):
        return False


def _state(path: Path) -> str:
    state = path.stat()
    # Unlike the time of change of the contents, that of the inode cannot be set, so a file that is replaced differs.
    return json.dumps([_FORMAT, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns])


def _require_size(path: Path) -> None:
    """Raise unless the file is as large as its header says: before all of it is read for its checksum."""
    require_regular(path)
    size_now = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_DIGEST + 8)[_DIGEST:], "little")
        if length > size_now:
            raise ValueError("the header is longer than the file")
        arrays = json.loads(file.read(length))["arrays"].values()
    sizes = [int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape, _ in arrays]
    if size_now != _DIGEST + 8 + length + sum(size + -size % _ALIGNMENT for size in sizes):
        raise ValueError("the file is longer or shorter than its header says")
