"""Faults of whole files, whatever they hold."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random


def truncated(random: Random, path: Path) -> None:
    """The file ends early."""
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(1, len(content))])


def flipped(random: Random, path: Path) -> None:
    """A few bits are others."""
    content = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 8, 64))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def emptied(random: Random, path: Path) -> None:
    """The file holds nothing."""
    path.write_bytes(b"")


def missing(random: Random, path: Path) -> None:
    """The file is not there."""
    path.unlink()


def replaced_by_folder(random: Random, path: Path) -> None:
    """A folder has the file's name."""
    path.unlink()
    path.mkdir()


def replaced_by_pipe(random: Random, path: Path) -> None:
    """A named pipe has the file's name: whoever opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def replaced_by_device(random: Random, path: Path) -> None:
    """A link to a device without an end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def replaced_by_loop(random: Random, path: Path) -> None:
    """A symbolic link to itself."""
    path.unlink()
    path.symlink_to(path)


def random_bytes(random: Random, path: Path) -> None:
    """Noise."""
    path.write_bytes(random.randbytes(random.choice((1, 100, 10_000))))


def grown(random: Random, path: Path) -> None:
    """As large as 200 GB, without a byte on the disk."""
    os.truncate(path, 200 * 10**9)


FILE_FAULTS: dict[str, Callable[[Random, Path], None]] = {
    "truncated": truncated,
    "bits flipped": flipped,
    "emptied": emptied,
    "missing": missing,
    "a folder": replaced_by_folder,
    "a named pipe": replaced_by_pipe,
    "a device": replaced_by_device,
    "a link to itself": replaced_by_loop,
    "random bytes": random_bytes,
    "200 GB of nothing": grown,
}
"""Faults by name; all but flipped bits and a cut that leaves a whole file are harmful to whoever needs the file."""
ALWAYS_HARMFUL = frozenset(FILE_FAULTS) - {"bits flipped", "truncated"}


def spoil_file(random: Random, path: Path) -> str:
    """One of them; returns its name."""
    name = random.choice(list(FILE_FAULTS))
    FILE_FAULTS[name](random, path)
    return name


def texts(text: str) -> dict[str, bytes]:
    """A text document that is no longer what its reader expects, by name."""
    return {
        "Latin-1": (text[:1] + "  \xe9 " + text[1:]).encode("latin-1", "replace"),
        "UTF-16": text.encode("utf-16"),
        "only null": b"null",
        "only a number": b"3",
        "an empty object": b"{}",
        "an empty list": b"[]",
        "a list of null": b"[null]",
        "a list of objects": b"[{}]",
        "twice": (text + text).encode(),
        "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
        "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "an integer of 5,000 digits": b"[{" + b'"token": ' + b"9" * 5000 + b"}]",
    }


def spoil_text(random: Random, path: Path) -> str:
    """Replace a text file by one of ``texts`` of it, or spoil it as any file; returns what was done."""
    if random.random() < 0.4:
        return spoil_file(random, path)
    faults = texts(path.read_text(encoding="utf-8"))
    name = random.choice(list(faults))
    path.write_bytes(faults[name])
    return name
