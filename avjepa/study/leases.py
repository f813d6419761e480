"""Leases: which worker does which job of a folder that many workers share, on one machine or on several."""

import contextlib
import fcntl
import os
import socket
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from avjepa.errors import UserError

_own: set[Path] = set()
"""Leases of this process: were one of them opened once more, closing it would end the lock (POSIX)."""


@dataclass(frozen=True)
class Holder:
    """Who does a job.

    Attributes:
        name: machine and process.
        silence: seconds since its last sign of life.
    """

    name: str
    silence: float

    def __str__(self) -> str:
        return f"{self.name}, last sign of life {self.silence:.0f} s ago"


class Lease:
    """A job that this worker holds. Its file is touched now and then, so that other machines see it is alive.

    Args:
        path: of the lease's file.
        file: the same, open and locked by the kernel: the lock ends with the process, children do not inherit it, so
            others on this machine see at once that it is gone.
        heartbeat: seconds between two touches.
    """

    def __init__(self, path: Path, file: TextIO, heartbeat: float) -> None:
        self.path, self._file = path, file
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(heartbeat,), daemon=True)
        self._thread.start()

    def _beat(self, heartbeat: float) -> None:
        while not self._released.wait(heartbeat):
            with contextlib.suppress(OSError):  # a network share that is gone for a moment
                os.utime(self.path)

    def release(self) -> None:
        """Let others have the job, or see that it is done."""
        self._released.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)
        self._file.close()
        _own.discard(self.path)


class Leases:
    """The leases of a folder. A lease is a file ``JOB.GENERATION`` that is created exclusively.

    A lease is dead when its process is gone from this machine, or when it has not been touched for a while by a process
    of another. It is taken over by creating the next generation, which again only one worker can; no worker deletes
    another's lease. A worker that was only suspended and wakes up again does its job twice at worst: outcomes are whole
    and equal.

    Args:
        folder: shared by the workers; the file system has to create files exclusively (NFS 3 and later do).
        heartbeat: seconds between two signs of life of a lease.
        stale_after: seconds without one after which a lease is dead.
    """

    def __init__(self, folder: Path, heartbeat: float = 10.0, stale_after: float = 120.0) -> None:
        if not 0 < heartbeat < stale_after:
            raise ValueError(f"a lease is dead after {stale_after} s, its heart beats only every {heartbeat} s")
        self.folder, self.heartbeat, self.stale_after = folder.resolve(), heartbeat, stale_after
        self._machine = _machine()
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, job: str) -> Lease | None:
        """Hold a job; ``None`` if another worker does, or was quicker."""
        now, generation = self.now(), -1
        for path in self.folder.glob(f"{job}.*"):
            if path.name.rpartition(".")[0] != job:
                continue  # a longer name
            with contextlib.suppress(FileNotFoundError):
                if self._holder(path, now) is not None:
                    return None
                generation = max(generation, int(path.suffix[1:]))
        path = self.folder / f"{job}.{generation + 1}"
        try:
            file = path.open("x", encoding="utf-8")
        except FileExistsError:
            return None
        _own.add(path)
        # the name of the machine comes after the lock: until it is there nobody asks whether the file is locked
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(f"{self._machine}\n{this_process()}\n")
            file.flush()
        return Lease(path, file, self.heartbeat)

    def holders(self) -> dict[str, Holder]:
        """Who holds which job: this worker and others, as far as they live."""
        now, found = self.now(), {}
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith(".") and (holder := self._holder(path, now)) is not None:
                    found[path.name.rpartition(".")[0]] = holder
        return found

    def now(self) -> float:
        """The time by the clock that stamps the files: machines that share a folder may disagree on theirs."""
        path = self.folder / f".{uuid.uuid4().hex}"
        try:
            path.write_text("")
            return path.stat().st_mtime
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written ({error.strerror}); free some space or choose another --out"
            ) from error
        finally:
            path.unlink(missing_ok=True)

    def _holder(self, path: Path, now: float) -> Holder | None:
        """The living holder of a lease, or ``None``. Raises ``FileNotFoundError`` if it was just released."""
        silence = now - path.stat().st_mtime
        if silence >= self.stale_after:
            return None
        if path in _own:
            return Holder(this_process(), max(0.0, silence))
        with path.open(encoding="utf-8", errors="replace") as file:
            machine, _, name = file.read().strip().partition("\n")
            if machine == self._machine and _unlocked(file):
                return None
        return Holder(name or "a worker that is just starting", max(0.0, silence))


def this_process() -> str:
    """Machine and process, for people."""
    return f"{socket.gethostname()} process {os.getpid()}"


def _machine() -> str:
    """Tells this machine, since it was last started, from all others."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text(encoding='ascii').strip() if boot.is_file() else uuid.getnode()}"


def _unlocked(file: TextIO) -> bool:
    """Whether no process of this machine holds the file's lock any more."""
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
