"""Records of finished jobs and claims on running ones, in a folder that many workers share."""

import contextlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avjepa.errors import UserError
from avjepa.files import write_json


class Lease:
    """A job that this worker holds. Its file is touched now and then, so that others see it is alive.

    Args:
        path: of the claim file, which the worker has just created.
        heartbeat: seconds between two touches.
    """

    def __init__(self, path: Path, heartbeat: float) -> None:
        self.path = path
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


class Store:
    """Who does what, and what came of it.

    ``records/JOB.json`` is a finished job, ``failures/JOB.json`` one that cannot be done. A claim is a file
    ``claims/JOB.GENERATION`` that is created exclusively. A claim that has not been touched for a while is dead; it is
    taken over by creating the next generation, which again only one worker can, and no worker deletes another's claim.
    A worker that was only suspended and wakes up again does its job twice at worst: records are whole and equal.

    Args:
        folder: shared by the workers; the file system has to create files exclusively (NFS 3 and later do).
        heartbeat: seconds between two signs of life of a claim.
        stale_after: seconds without one after which a claim is dead.
    """

    def __init__(self, folder: Path, heartbeat: float = 10.0, stale_after: float = 120.0) -> None:
        if not 0 < heartbeat < stale_after:
            raise ValueError(f"a claim is dead after {stale_after} s, its heart beats only every {heartbeat} s")
        self.folder, self.heartbeat, self.stale_after = folder, heartbeat, stale_after
        self._identity = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        for part in ("records", "failures", "claims"):
            (folder / part).mkdir(parents=True, exist_ok=True)

    def record(self, job: str) -> dict[str, Any] | None:
        """What a finished job left; ``None`` for one that is not.

        Raises:
            UserError: the file cannot be read.
        """
        return self._read(self.folder / "records" / f"{job}.json")

    def failure(self, job: str) -> dict[str, Any] | None:
        """Why a job could not be done; ``None`` if it did not fail."""
        return self._read(self.folder / "failures" / f"{job}.json")

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("not an object")
            return content
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); delete it to have the job done again") from error

    def finished(self) -> set[str]:
        """Names of the jobs that have a record."""
        return {path.name.removesuffix(".json") for path in (self.folder / "records").glob("[!.]*.json")}

    def failed(self) -> set[str]:
        """Names of the jobs that failed."""
        return {path.name.removesuffix(".json") for path in (self.folder / "failures").glob("[!.]*.json")}

    def finish(self, job: str, record: dict[str, Any]) -> None:
        """Write a record, whole or not at all."""
        write_json(self.folder / "records" / f"{job}.json", record)
        (self.folder / "failures" / f"{job}.json").unlink(missing_ok=True)

    def fail(self, job: str, reason: str, traceback: str) -> None:
        """Note why a job could not be done."""
        write_json(
            self.folder / "failures" / f"{job}.json",
            {"job": job, "reason": reason, "worker": self._identity, "traceback": traceback},
        )

    def forget_failures(self) -> int:
        """Have failed jobs done again; how many. What other workers note from now on stays."""
        now = self._now()
        forgotten = 0
        for path in (self.folder / "failures").glob("[!.]*.json"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= now:
                    path.unlink()
                    forgotten += 1
        return forgotten

    def running(self) -> set[str]:
        """Names of the jobs with a living claim, of this worker and of others."""
        now, found = self._now(), set()
        for path in (self.folder / "claims").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if not path.name.startswith(".") and now - path.stat().st_mtime < self.stale_after:
                    found.add(path.name.rpartition(".")[0])
        return found

    @contextlib.contextmanager
    def claimed(self, job: str) -> Iterator[bool]:
        """Hold a job within the block; yields whether this worker got it and it is still to be done."""
        claim = self._claim(job)
        try:
            # another worker may have finished it between our look and our claim
            yield claim is not None and job not in self.finished() | self.failed()
        finally:
            if claim is not None:
                claim.release()

    def _claim(self, job: str) -> Lease | None:
        generation = -1
        for path in (self.folder / "claims").glob(f"{job}.*"):
            if path.name.rpartition(".")[0] != job:
                continue  # a longer name
            with contextlib.suppress(FileNotFoundError):
                if self._now() - path.stat().st_mtime < self.stale_after:
                    return None
                generation = max(generation, int(path.suffix[1:]))
        path = self.folder / "claims" / f"{job}.{generation + 1}"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self._identity)
        except FileExistsError:
            return None
        return Lease(path, self.heartbeat)

    def _now(self) -> float:
        """The time by the clock that stamps the files: machines that share a folder may disagree on theirs."""
        path = self.folder / "claims" / f".{self._identity}"
        path.write_text("")
        try:
            return path.stat().st_mtime
        finally:
            path.unlink(missing_ok=True)
