"""The first questions to any sensor file: is it a file at all, and can it be one of a sensor by its size?"""

import errno
import os
import stat

import numpy as np
from jaxtyping import UInt8

from avjepa.data.arrays import Array
from avjepa.errors import BadFileError


class Memory:
    """Memory that is used again and again, because pages that are new to a process take longer than what is read."""

    def __init__(self) -> None:
        self._bytes: Array = np.empty(0, np.uint8)

    def of(self, size: int) -> UInt8[Array, "{size}"]:
        """So many bytes, which hold what they held before; valid until the next call."""
        if len(self._bytes) < size:
            self._bytes = np.empty(size + size // 4, np.uint8)
        return self._bytes[:size]


def size_of_file(path: str | os.PathLike[str], at_most: int | None = None) -> int:
    """Bytes of a regular file.

    Opening a pipe would wait for ever for someone to write into it, a device may not end, and a file with holes may be
    larger than any memory.

    Raises:
        BadFileError: there is nothing, it is no regular file, or it has more than ``at_most`` bytes.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return _size(path, state, at_most)


def content_of_file(path: str | os.PathLike[str], at_most: int, memory: Memory | None = None) -> UInt8[Array, "byte"]:
    """What a regular file holds.

    Args:
        path: the file.
        at_most: bytes that it may have.
        memory: where to put it; ``None`` for memory of its own.

    Raises:
        BadFileError: see ``size_of_file``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe is not waited for
        try:
            size = _size(path, os.fstat(descriptor), at_most)
            content = np.empty(size, np.uint8) if memory is None else memory.of(size)
            read = 0
            while read < size:
                more = os.readv(descriptor, [content.data[read:]])
                if not more:
                    raise BadFileError(path, f"truncated while it was read: {read} of {size} bytes are left")
                read += more
            return content
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _size(path: str | os.PathLike[str], state: os.stat_result, at_most: int | None) -> int:
    if not stat.S_ISREG(state.st_mode):
        raise BadFileError(path, "this is no regular file (a folder, pipe, socket or device)")
    if at_most is not None and state.st_size > at_most:
        raise BadFileError(path, f"{state.st_size:,} bytes; no such file has more than {at_most:,}")
    return state.st_size


def _unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> BadFileError:
    if isinstance(error, FileNotFoundError):
        return BadFileError(path, "the file is missing")
    if isinstance(error, OSError) and error.errno == errno.ENXIO:  # a socket, or a device that is not there
        return BadFileError(path, "this is no regular file (a folder, pipe, socket or device)")
    return BadFileError(path, f"the file cannot be read ({error})")
