"""Outcomes of jobs and leases of running ones, in a folder that many workers share."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from avjepa.errors import UserError
from avjepa.files import read_json, write_json
from avjepa.study.leases import Holder, Leases, this_process

_NUMBERS = ("mAP", "NDS", "fraction", "batch_size", "pretrain_seconds")
"""Of an outcome that has them, beside the seconds that it took."""
_LARGEST = 1e12
"""Beyond all of these."""


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

    def outcome(self, job: str, *scores: str) -> dict[str, Any] | None:
        """What a finished job left; ``None`` for one that is not.

        Args:
            job: its name.
            scores: what it must hold beside the seconds that it took.

        Raises:
            UserError: the file cannot be read, one of these is missing, or what should be a number is none.
        """
        path = self.outcome_path(job)
        content = self._read(path)
        if content is not None:
            for name in ("seconds", *scores, *(name for name in _NUMBERS if content.get(name) is not None)):
                value = content.get(name)
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
                    raise _damaged(path, f"{name!r} is no number that it can be")
        return content

    def outcome_path(self, job: str) -> Path:
        """Where the outcome of a job lies, once it is finished."""
        return self.folder / "outcomes" / f"{job}.json"

    def failure(self, job: str) -> dict[str, Any] | None:
        """Why a job could not be done; ``None`` if it did not fail.

        Raises:
            UserError: the file cannot be read, or does not say why.
        """
        path = self.folder / "failures" / f"{job}.json"
        content = self._read(path)
        if content is not None and not isinstance(content.get("reason"), str):
            raise _damaged(path, "'reason' is no text")
        return content

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = read_json(path)
            if not isinstance(content, dict):
                raise ValueError("not an object")
            return content
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _damaged(path, f"cannot be read ({error})") from error

    def require_readable(self, jobs: Iterable[str]) -> None:
        """Raise ``UserError`` where what is said of one of these jobs is damaged."""
        for job in jobs:
            self.outcome(job)
            self.failure(job)

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


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f"{path}: {problem}; delete it to have the job done again")
