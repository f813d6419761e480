import errno
import multiprocessing
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from avjepa.errors import UserError
from avjepa.study import leases
from avjepa.study.jobs import StudyJob
from avjepa.study.runner import duration
from avjepa.study.store import Store
from tests.study.studies import PretendingWorker, done, small_study

FORK = multiprocessing.get_context("fork")


def work(folder: Path) -> None:
    PretendingWorker(small_study(), Store(folder), seconds=0.02).run()


def test_two_workers_do_every_job_once_and_what_others_need_first(tmp_path: Path) -> None:
    workers = [FORK.Process(target=work, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    store, study = Store(tmp_path), small_study()
    order = done(store)
    assert sorted(order) == sorted(job.name for job in study.jobs())
    lines = (tmp_path / "done.txt").read_text().splitlines()
    assert len({line.split()[1] for line in lines}) == 2, "both took part"
    for job in study.jobs():
        assert all(order.index(need.name) < order.index(job.name) for need in study.needs(job))


def test_a_second_run_does_nothing_and_an_extended_study_only_what_is_new(tmp_path: Path) -> None:
    store = Store(tmp_path)
    PretendingWorker(small_study(), store).run()
    before = done(store)
    PretendingWorker(small_study(), store).run()
    assert done(store) == before
    larger = small_study(seeds=(0, 1, 2))
    PretendingWorker(larger, store).run()
    new = done(store)[len(before) :]
    assert new and all("s2" in name for name in new)


def test_a_backbone_that_is_gone_is_made_again_once_a_job_needs_it(tmp_path: Path) -> None:
    store, study = Store(tmp_path), small_study()
    PretendingWorker(study, store).run()
    before = done(store)
    cell = next(run for run in study.runs() if run.method == "jepa")
    shutil.rmtree(tmp_path / "work" / cell.backbone.name)
    PretendingWorker(study, store).run()
    assert done(store) == before, "all is done"
    store.forget(cell.name)
    PretendingWorker(study, store).run()
    assert done(store)[len(before) :] == [cell.backbone.name, cell.name]


def test_the_setting_that_is_best_on_validation_scenes_is_used(tmp_path: Path) -> None:
    store, study = Store(tmp_path), small_study()
    PretendingWorker(study, store).run()
    outcomes = {cell: store.outcome(cell.name) for cell in study.runs()}
    # a trial's pretended score is its learning rate, so the highest wins; frozen backbones have one setting only
    for cell, outcome in outcomes.items():
        assert outcome is not None
        assert outcome["mAP"] == (5e-3 if cell.mode == "end_to_end" else 1e-3)


class FailingWorker(PretendingWorker):
    failing = True

    def _trained(self, job: StudyJob, folder: Path) -> dict[str, Any]:
        if self.failing and job.name == "pretrain-jepa-p1-20":
            raise RuntimeError("out of\nmemory")
        return super()._trained(job, folder)


def test_a_failure_is_recorded_the_rest_is_done_and_a_retry_completes_the_study(tmp_path: Path) -> None:
    store, study = Store(tmp_path), small_study()
    worker = FailingWorker(study, store)
    worker.run()
    failure = store.failure("pretrain-jepa-p1-20")
    assert failure is not None and failure["reason"] == "out of memory"
    assert "RuntimeError" in failure["traceback"]
    left = {job.name for job in study.jobs()} - store.finished()
    assert left == {job.name for job in study.jobs() if "jepa-p1-20" in job.name}
    store.forget_failures()
    worker.failing = False
    worker.run()
    assert {job.name for job in study.jobs()} == store.finished()


class FullDisk(PretendingWorker):
    def _trained(self, job: StudyJob, folder: Path) -> dict[str, Any]:
        if job.name == "pretrain-jepa-p1-20":
            try:
                raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")
            except OSError as error:
                raise UserError("model.safetensors: no space left") from error
        return super()._trained(job, folder)


def test_a_full_disk_stops_the_study_and_is_no_failure_of_the_job(tmp_path: Path) -> None:
    store, study = Store(tmp_path), small_study()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        FullDisk(study, store).run()
    assert store.failed() == set() and not store.running()
    PretendingWorker(study, store).run()
    assert store.finished() == {job.name for job in study.jobs()}, "the same command goes on later"


def test_a_wait_for_another_process_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "this_process", lambda: "elsewhere process 1")
    study = small_study(seeds=(0,), pretrain_seeds=(0,), methods=small_study().methods[:1])
    store, other = Store(tmp_path), Store(tmp_path)
    job = study.jobs()[0].name
    said: list[str] = []
    with other.held(job):
        worker = PretendingWorker(study, store)
        worker.tell = said.append
        thread = threading.Thread(target=worker.run)
        thread.start()
        time.sleep(0.3)
    thread.join()
    waits = [line for line in said if line.startswith("waiting")]
    assert len(waits) == 1 and f"{job} (elsewhere process 1, last sign of life" in waits[0]
    assert store.finished() == {job.name for job in study.jobs()}


def test_progress_says_how_long_the_rest_takes(tmp_path: Path) -> None:
    store, study = Store(tmp_path), small_study(seeds=(0,), pretrain_seeds=(0,))
    worker = PretendingWorker(study, store)
    jobs = study.jobs()
    store.finish(jobs[0].name, {"seconds": 1.0})
    assert worker.progress() == f"1 of {len(jobs)} jobs done, more than 0 s to go"
    # a pre-training of 20 steps took 40 s, so one of 10 takes 20 s; a detector takes 30 s in either mode
    for job in jobs:
        seconds = 40.0 if job.name == "pretrain-jepa-p0-20" else 30.0
        if job.name != "pretrain-jepa-p0-10" and job.name != "end_to_end-jepa-p0-20-4scenes-s0":
            store.finish(job.name, {"seconds": seconds})
    assert worker.progress() == f"{len(jobs) - 2} of {len(jobs)} jobs done, 50 s to go"
    assert [duration(s) for s in (89.0, 600.0, 7500.0)] == ["89 s", "10 min", "2 h 05 min"]
