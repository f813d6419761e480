"""Who does what, among workers that come, go and are killed."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from avjepa.study import leases
from avjepa.study.leases import Leases

FORK = multiprocessing.get_context("fork")


def die_with_lease(folder: Path) -> None:
    assert Leases(folder).take("job") is not None
    os.kill(os.getpid(), signal.SIGKILL)


def killed_holder(folder: Path) -> None:
    child = FORK.Process(target=die_with_lease, args=(folder,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_the_job_of_a_process_that_is_gone_is_taken_at_once_and_by_one_only(tmp_path: Path) -> None:
    killed_holder(tmp_path)
    assert (tmp_path / "job.0").is_file(), "what a killed process leaves"
    first, second = Leases(tmp_path), Leases(tmp_path)
    assert first.holders() == {}
    lease = first.take("job")
    assert lease is not None and second.take("job") is None
    assert f"process {os.getpid()}," in str(second.holders()["job"])
    lease.release()


def test_the_job_of_another_machine_is_taken_once_it_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_holder(tmp_path)
    monkeypatch.setattr(leases, "_machine", lambda: "another one")
    first, second = (Leases(tmp_path, heartbeat=0.05, stale_after=0.5) for _ in range(2))
    os.utime(tmp_path / "job.0")
    assert first.take("job") is None, "it may still be alive"
    time.sleep(0.6)
    lease = first.take("job")
    assert lease is not None and second.take("job") is None
    lease.release()


def test_a_living_worker_keeps_its_job_for_as_long_as_it_takes(tmp_path: Path) -> None:
    first, second = (Leases(tmp_path, heartbeat=0.05, stale_after=0.4) for _ in range(2))
    lease = first.take("job")
    assert lease is not None
    for _ in range(4):
        time.sleep(0.2)
        assert second.take("job") is None
    lease.release()
    again = second.take("job")
    assert again is not None
    again.release()


def test_a_longer_name_is_another_job(tmp_path: Path) -> None:
    first, second = Leases(tmp_path), Leases(tmp_path)
    for lease in (first.take("job"), second.take("job.longer")):
        assert lease is not None
    assert first.holders().keys() == {"job", "job.longer"}
