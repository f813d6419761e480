import multiprocessing
from pathlib import Path

import pytest

from avjepa.errors import UserError
from avjepa.study.store import Store

FORK = multiprocessing.get_context("fork")


def test_a_job_is_held_by_one_worker_only(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    with first.held("job") as ours, second.held("job") as theirs:
        assert (ours, theirs) == (True, False)
        assert second.running().keys() == {"job"}
    with second.held("job") as theirs:
        assert theirs, "released"


def test_a_finished_job_is_not_done_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.finish("job", {"mAP": 0.5, "seconds": 1.0})
    with store.held("job") as mine:
        assert not mine
    assert Store(tmp_path).outcome("job") == {"mAP": 0.5, "seconds": 1.0}


def take_all(folder: Path, jobs: int) -> None:
    store = Store(folder)
    for number in range(jobs):
        with store.held(f"job{number}") as mine:
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
    (tmp_path / "outcomes" / ".job.json.x1.part").write_text('{"mAP"')
    assert store.finished() == set()
    assert store.outcome("job") is None
    (tmp_path / "outcomes" / "job.json").write_text('{"mAP"')
    with pytest.raises(UserError, match=r"outcomes/job\.json.*delete it"):
        store.outcome("job")


@pytest.mark.parametrize(
    "content",
    [
        "{}", '{"seconds": "1"}', '{"seconds": NaN}', '{"seconds": -1}', '{"seconds": true}', '{"seconds": 1}',
        '{"seconds": 1, "mAP": NaN}', '{"seconds": 1, "mAP": 1e999}', '{"seconds": 1, "mAP": 0, "NDS": "high"}',
        "[1]", "[" * 100_000,
    ],
)  # fmt: skip
def test_an_outcome_without_what_is_read_of_it_is_named(content: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "outcomes" / "job.json").write_text(content)
    with pytest.raises(UserError, match=r"outcomes/job\.json: .*; delete it to have the job done again$"):
        store.outcome("job", "mAP")


@pytest.mark.parametrize("content", ["{}", '{"reason": 3}', "[]", "{"])
def test_a_failure_without_a_reason_is_named(content: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "failures" / "job.json").write_text(content)
    with pytest.raises(UserError, match=r"failures/job\.json: .*; delete it to have the job done again$"):
        store.failure("job")


def test_failures_are_kept_until_they_are_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail("job", "no memory", "Traceback ...")
    with store.held("job") as mine:
        assert not mine
    failure = store.failure("job")
    assert failure is not None and failure["reason"] == "no memory"
    assert store.forget_failures() == 1
    with store.held("job") as mine:
        assert mine
    store.fail("job", "no memory", "")
    store.finish("job", {})
    assert store.failed() == set()
