"""Outcomes of jobs and leases of running ones, in a folder that many workers share."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avjepa.errors import UserError
from avjepa.files import write_json
from avjepa.study.leases import Holder, Leases, this_process


class Store:
    """Who does what, and what came of it.

    ``outcomes/JOB.json`` is a finished job, ``failures/JOB.json`` one that cannot be done, ``leases/`` says who does
    what at the moment.

    Args:
        folder: shared by the workers.
        heartbeat: see ``Leases``.
        stale_after: see ``Leases``.
    """

    def __init__(self, folder: Path, heartbeat: float = 10.0, stale_after: float = 120.0) -> None:
        self.folder = folder
        self._leases = Leases(folder / "leases", heartbeat, stale_after)
        for part in ("outcomes", "failures"):
            (folder / part).mkdir(parents=True, exist_ok=True)

    def outcome(self, job: str) -> dict[str, Any] | None:
        """What a finished job left; ``None`` for one that is not.

        Raises:
            UserError: the file cannot be read.
        """
        return self._read(self.outcome_path(job))

    def outcome_path(self, job: str) -> Path:
        """Where the outcome of a job lies, once it is finished."""
        return self.folder / "outcomes" / f"{job}.json"

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
        """Names of the jobs that have an outcome."""
        return {path.name.removesuffix(".json") for path in (self.folder / "outcomes").glob("[!.]*.json")}

    def failed(self) -> set[str]:
        """Names of the jobs that failed."""
        return {path.name.removesuffix(".json") for path in (self.folder / "failures").glob("[!.]*.json")}

    def finish(self, job: str, outcome: dict[str, Any]) -> None:
        """Write an outcome, whole or not at all."""
        write_json(self.outcome_path(job), outcome)
        (self.folder / "failures" / f"{job}.json").unlink(missing_ok=True)

    def forget(self, job: str) -> None:
        """Have a job done again."""
        self.outcome_path(job).unlink(missing_ok=True)

    def fail(self, job: str, reason: str, traceback: str) -> None:
        """Note why a job could not be done."""
        write_json(
            self.folder / "failures" / f"{job}.json",
            {
                "job": job,
                "reason": reason,
                "worker": this_process(),
                "traceback": traceback,
            },
        )

    def forget_failures(self) -> int:
        """Have failed jobs done again; how many. What other workers note from now on stays."""
        now = self._leases.now()
        forgotten = 0
        for path in (self.folder / "failures").glob("[!.]*.json"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= now:
                    path.unlink()
                    forgotten += 1
        return forgotten

    def running(self) -> dict[str, Holder]:
        """Who does which job at the moment: this worker and others."""
        return self._leases.holders()

    @contextlib.contextmanager
    def held(self, job: str) -> Iterator[bool]:
        """Hold a job within the block; yields whether this worker got it and it is still to be done."""
        lease = self._leases.take(job)
        try:
            # another worker may have finished it between our look and our lease
            yield lease is not None and job not in self.finished() | self.failed()
        finally:
            if lease is not None:
                lease.release()
