"""One process at a time writes a folder."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from avjepa.errors import UserError

LOCK = ".lock"
"""Name of the file below a folder that is locked while the folder is written."""

_held: set[Path] = set()
"""Lock files of this process: the kernel would grant it a second lock, and drop both with the first to close."""


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], patience: float = 0.0) -> Iterator[None]:
    """Hold a folder, created if need be, for as long as the block runs.

    The lock is the kernel's (POSIX, ``fcntl``): it ends with the process, however the process ends, so a killed one
    leaves nothing that would have to be cleared away. Children, such as data workers, do not inherit it. Machines that
    share a file system see each other's locks where it carries them (NFS 4, Lustre with ``flock``); where it has none,
    a warning says so and the block runs. A folder that was created for the lock, and into which the block put nothing,
    is removed again.

    Args:
        folder: which.
        patience: seconds to wait for another process that holds it.

    Raises:
        UserError: the folder is held already; the message names the process and its machine. Or it cannot be made.
    """
    path = Path(folder).resolve() / LOCK
    created = [place for place in path.parents if not place.exists()]
    descriptor = _acquire(path, time.monotonic() + patience)
    _held.add(path)
    try:
        yield
    finally:
        _held.discard(path)
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)
        with contextlib.suppress(OSError):  # the first of them that holds something, and so those above it
            for place in created:
                place.rmdir()


def _acquire(path: Path, until: float) -> int | None:
    """The descriptor of the locked file; ``None`` on a file system without locks. Waits until a monotonic time."""
    if path in _held:
        raise _refusal(path, f"process {os.getpid()} on {socket.gethostname()}, which is this one")
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{error.filename}: {(error.strerror or str(error)).lower()}"
            raise UserError(f"{path.parent}: cannot be made ({reason}); choose another folder") from error
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 500).decode(errors="replace")
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN) and time.monotonic() < until:
                time.sleep(0.02)
                continue
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise _refusal(path, holder or "another process") from error
            path.unlink(missing_ok=True)
            logging.getLogger("avjepa").warning("%s: cannot be locked (%s); start one run in it", path.parent, error)
            return None
        if _is_same_file(path, descriptor):
            os.ftruncate(descriptor, 0)
            since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode())
            return descriptor
        os.close(descriptor)  # its last holder removed it between our opening and our locking it


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _refusal(path: Path, holder: str) -> UserError:
    return UserError(
        f"{path.parent}: is being written by {holder}; wait until it has ended, stop it, or choose another folder"
    )
