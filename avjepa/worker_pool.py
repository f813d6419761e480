"""One task for many items, by processes that are forked for it."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from avjepa.errors import UserError
from avjepa.processes import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


def by_workers(task: Callable[[Item], Result], items: Sequence[Item], workers: int, command: str) -> Iterator[Result]:
    """What a task makes of every item, as it gets ready; in order where one process does it all.

    Args:
        task: forked with the processes, so that it need not be picklable; its results have to be.
        items: what it is given, one by one.
        workers: processes at most; with 1 the calling one does it.
        command: named in the error.

    Raises:
        UserError: a process was killed.
    """
    if workers == 1 or len(items) == 1:
        yield from map(task, items)
        return
    context = multiprocessing.get_context("fork")  # as the loading processes of a training are
    pool = ProcessPoolExecutor(max(1, min(workers, len(items))), context, initializer=_begin, initargs=(task,))
    try:
        for future in as_completed([pool.submit(_done, item) for item in items]):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"{command}: a worker process died, perhaps for lack of memory; run the same command with fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_task_of_this_process: Callable[[Any], Any]


def _begin(task: Callable[[Any], Any]) -> None:
    global _task_of_this_process
    _task_of_this_process = task
    end_with_parent()
    torch.set_num_threads(1)  # its threads are not forked
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and lets them finish their item


def _done(item: Any) -> Any:
    return _task_of_this_process(item)
