"""Whoever does jobs: takes them one after the other, shares them with others on this machine and elsewhere."""

import errno
import shutil
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from avjepa.study.leases import this_process
from avjepa.study.store import Store

Task = TypeVar("Task")


@dataclass(frozen=True)
class Job(Generic[Task]):
    """Something to do once.

    Attributes:
        name: identifies it among all jobs and in file names.
        task: what to do, as a typed value.
        needs: names of the jobs that have to be done before.
    """

    name: str
    task: Task
    needs: tuple[str, ...] = ()


class Runner(ABC, Generic[Task]):
    """Does the jobs that nobody else does and that are not done: several runners may share one store.

    Args:
        jobs: in a good order: what others need comes first.
        store: who does what, and what came of it.
        tell: takes one line to the user.
        wait: seconds between two looks for a job that others have to make possible.
        stop: once set, no further job is begun.
    """

    def __init__(
        self,
        jobs: Sequence[Job[Task]],
        store: Store,
        tell: Callable[[str], None],
        wait: float = 5.0,
        stop: threading.Event | None = None,
    ) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.store, self.tell, self.wait = store, tell, wait
        self.stop = stop or threading.Event()

    @abstractmethod
    def do(self, job: Job[Task], folder: Path) -> dict[str, Any]:
        """Do a job, or go on with what an interrupted runner left in ``folder``; what is worth keeping."""

    def keeps(self, job: Job[Task]) -> bool:
        """Whether the job's folder stays when it is done."""
        return True

    def order(self, ready: Sequence[str], running: Sequence[str]) -> list[str]:
        """The jobs that could be done now, best first; by default in the order in which they were given."""
        return list(ready)

    def run(self) -> None:
        """Work until every job is done, has failed, or needs one that has failed.

        Raises:
            UserError: the disk is full: what is done stays, and the same command goes on later.
        """
        said: set[str] = set()
        while not self.stop.is_set() and (candidates := self._candidates()) is not None:
            if any(self._try(name) for name in candidates):
                said = set()
            else:
                said = self._say_what_is_waited_for(said)
                self.stop.wait(self.wait)

    def begun(self, name: str) -> None:
        """Tell that a job begins."""
        self.tell(name)

    def done(self, name: str, outcome: dict[str, Any]) -> None:
        """Tell that a job is done."""
        self.tell(f"{name} in {duration(outcome['seconds'])}")

    def failed(self, name: str, reason: str) -> None:
        """Tell that a job could not be done."""
        self.tell(f"{name} failed: {reason}")

    def _say_what_is_waited_for(self, said: set[str]) -> set[str]:
        """One line a job that another process does, unless that was said; the jobs."""
        ours = this_process()
        held = {n: holder for n, holder in self.store.running().items() if n in self.jobs and holder.name != ours}
        for name in sorted(held.keys() - said):
            self.tell(f"waiting for {name} ({held[name]})")
        return set(held)

    def _candidates(self) -> list[str] | None:
        """Jobs that could be done now, best first; empty if others have to finish theirs; ``None`` if none is left."""
        finished, blocked = self.store.finished(), self.store.failed()
        for name, job in self.jobs.items():  # in an order in which needs come first
            if name not in finished and not blocked.isdisjoint(job.needs):
                blocked.add(name)
        left = [name for name in self.jobs if name not in finished and name not in blocked]
        if not left:
            return None
        running = self.store.running().keys() & self.jobs.keys()
        ready = [name for name in left if name not in running and finished.issuperset(self.jobs[name].needs)]
        return self.order(ready, sorted(running))

    def _try(self, name: str) -> bool:
        """Do a job unless another runner has it; whether it was done, or failed."""
        with self.store.held(name) as mine:
            if not mine:
                return False
            folder = self.store.folder / "work" / name
            self.begun(name)
            started = time.monotonic()
            try:
                outcome = self.do(self.jobs[name], folder)
            except Exception as error:
                if disk_is_full(error):
                    raise
                reason = " ".join(str(error).split()) or type(error).__name__
                self.store.fail(name, reason, traceback.format_exc())
                self.failed(name, reason)
                return True
            outcome = {"job": name, **outcome, "seconds": round(time.monotonic() - started, 2)}
            self.store.finish(name, outcome)
            if not self.keeps(self.jobs[name]):
                shutil.rmtree(folder, ignore_errors=True)
            self.done(name, outcome)
            return True


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, is that nothing more can be written: no fault of the job."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if isinstance(error, RuntimeError) and "inline_container" in str(error):  # how torch.save says so
            return True
        error = error.__cause__ or error.__context__
    return False


def duration(seconds: float) -> str:
    """``41 s``, ``12 min``, ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
