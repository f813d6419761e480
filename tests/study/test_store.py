import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.study.store import Store

FORK = multiprocessing.get_context("fork")


def test_a_job_is_held_by_one_worker_only(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    with first.claimed("job") as ours, second.claimed("job") as theirs:
        assert (ours, theirs) == (True, False)
        assert second.running() == {"job"}
        with second.claimed("job.longer") as other:
            assert other, "a longer name is another job"
    with second.claimed("job") as theirs:
        assert theirs, "released"


def test_a_finished_job_is_not_done_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.finish("job", {"mAP": 0.5})
    with store.claimed("job") as mine:
        assert not mine
    assert Store(tmp_path).record("job") == {"mAP": 0.5}


def die_with_claim(folder: Path) -> None:
    with Store(folder, heartbeat=0.05, stale_after=0.5).claimed("job"):
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_job_of_a_killed_worker_is_taken_over_once_it_is_silent(tmp_path: Path) -> None:
    child = FORK.Process(target=die_with_claim, args=(tmp_path,))
    child.start()
    child.join()
    first, second = (Store(tmp_path, heartbeat=0.05, stale_after=0.5) for _ in range(2))
    with first.claimed("job") as mine:
        assert not mine, "it may still be alive"
    time.sleep(0.6)
    with first.claimed("job") as mine, second.claimed("job") as theirs:
        assert (mine, theirs) == (True, False)


def test_a_living_worker_keeps_its_job_for_as_long_as_it_takes(tmp_path: Path) -> None:
    first, second = (Store(tmp_path, heartbeat=0.05, stale_after=0.4) for _ in range(2))
    with first.claimed("job"):
        for _ in range(4):
            time.sleep(0.2)
            with second.claimed("job") as theirs:
                assert not theirs


def take_all(folder: Path, jobs: int) -> None:
    store = Store(folder)
    for number in range(jobs):
        with store.claimed(f"job{number}") as mine:
            if mine:
                with (folder / "done.txt").open("a") as file:
                    file.write(f"{number}\n")
                store.finish(f"job{number}", {})


def test_many_workers_share_the_jobs_without_doing_one_twice(tmp_path: Path) -> None:
    workers = [FORK.Process(target=take_all, args=(tmp_path, 60)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(map(int, (tmp_path / "done.txt").read_text().split())) == list(range(60))


def test_a_record_in_the_making_is_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "records" / ".job.json.x1.part").write_text('{"mAP"')
    assert store.finished() == set()
    assert store.record("job") is None
    (tmp_path / "records" / "job.json").write_text('{"mAP"')
    with pytest.raises(UserError, match=r"records/job\.json.*delete it"):
        store.record("job")


def test_failures_are_kept_until_they_are_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail("job", "no memory", "Traceback ...")
    with store.claimed("job") as mine:
        assert not mine
    failure = store.failure("job")
    assert failure is not None and failure["reason"] == "no memory"
    assert store.forget_failures() == 1
    with store.claimed("job") as mine:
        assert mine
    store.fail("job", "no memory", "")
    store.finish("job", {})
    assert store.failed() == set()
