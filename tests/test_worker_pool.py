import os
import signal

import pytest

from avjepa.errors import BadFileError, UserError
from avjepa.worker_pool import by_workers


def test_every_item_is_done_once_by_other_processes() -> None:
    found = list(by_workers(lambda n: (n**2, os.getpid()), range(20), 3, "pack"))
    assert sorted(square for square, _ in found) == [n**2 for n in range(20)]
    processes = {process for _, process in found}
    assert os.getpid() not in processes and len(processes) <= 3


def test_one_worker_is_the_calling_process() -> None:
    assert list(by_workers(lambda n: (n, os.getpid()), range(3), 1, "pack")) == [(n, os.getpid()) for n in range(3)]


def test_nothing_to_do_starts_nothing() -> None:
    assert list(by_workers(str, [], 3, "pack")) == []


def test_an_error_of_a_worker_is_that_of_the_caller() -> None:
    def fails(n: int) -> int:
        if n == 2:
            raise BadFileError("file 2", "empty")
        return n

    with pytest.raises(BadFileError, match="file 2"):
        list(by_workers(fails, range(4), 2, "pack"))


def test_a_killed_worker_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"pack: a worker process died.*fewer --workers"):
        list(by_workers(lambda n: os.kill(os.getpid(), signal.SIGKILL), range(2), 2, "pack"))
