"""How a command ends: alone, or as one of several processes that train together.

Processes that train together wait for each other at every step. When one of them ends with an error, the others would
wait for ever, or end with errors of their own that say nothing of the reason. So the first to end leaves a note where
the processes met; the others look for it twice a second, in a thread of their own, and end without a word.
"""

import contextlib
import os
import sys
import threading
import time
from typing import Any

_ENDED, _CODE, _LEFT = "avjepa/ended", "avjepa/code", "avjepa/left"
_LOOK_EVERY = 0.5
_PATIENCE = 10.0
"""Seconds that the first process waits for the others to leave, and that no process should need."""


class _Job:
    """What a process knows of those that it trains with.

    Args:
        store: a ``torch.distributed.Store`` that they share; lives in the first process.
        rank: number of this process.
        size: of all.
    """

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._store, self._watched = store.clone(), store.clone()
        self._left = threading.Event()
        threading.Thread(target=self._watch, name="end together", daemon=True).start()

    def _watch(self) -> None:
        while not self._left.wait(_LOOK_EVERY):
            try:
                if self._watched.check([_CODE]):
                    code = int(self._watched.get(_CODE))
                    self._wait_if_first(self._watched)
                    os._exit(code)  # the main thread may wait in a collective that cannot be interrupted
            except RuntimeError:  # the first process is gone without a note: what comes next says how
                return

    def noted(self, code: int) -> tuple[bool, int]:
        """Leave a note of an error, unless there is one; whether this one is the first, and the code of the first."""
        self._left.set()
        try:
            first: bool = self._store.add(_ENDED, 1) == 1
            if first:
                self._store.set(_CODE, str(code))
            return first, int(self._store.get(_CODE))
        except RuntimeError:
            return True, code

    def leave(self) -> None:
        """Go, the first process as the last one."""
        with contextlib.suppress(RuntimeError):  # the first process is gone: nobody to wait for
            self._wait_if_first(self._store)
        self._left.set()

    def _wait_if_first(self, store: Any) -> None:
        """The first process holds the store: others that still looked there would complain at length."""
        left = store.add(_LEFT, 1)
        until = time.monotonic() + _PATIENCE
        while self.rank == 0 and left < self.size and time.monotonic() < until:
            time.sleep(0.05)
            left = store.add(_LEFT, 0)


_job: _Job | None = None


def end_together(store: Any, rank: int, size: int) -> None:
    """From now on this process ends when one of those that it trains with ends with an error."""
    global _job
    if _job is None:
        _job = _Job(store, rank, size)


def end(code: int, text: str = "") -> int:
    """The exit code of a command that is done, or has failed with ``text`` to be said on stderr.

    Where several processes train together the text is said by the first that fails, and its code is that of all. A
    process that fails among others does not return.
    """
    if _job is None:
        if code and int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_PROCID") or 0):
            time.sleep(3)  # all processes found the same; the first says it, and what started them ends the others
        _say(text)
        return code
    if code:
        first, code = _job.noted(code)
        if first:
            _say(text)
    _job.leave()
    if code:
        os._exit(code)  # the end of the interpreter would wait for what was begun together
    return code


def _say(text: str) -> None:
    if text:
        print(text, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
