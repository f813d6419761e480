"""The demo: equal terms for both methods, every job once and after what it needs, also when it is killed."""

import os
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from avjepa.commands.configurations import load_config
from avjepa.commands.demo import run_demo
from avjepa.commands.demo_jobs import FULL, HEADS, DemoTask, FinetuneTask, PretrainTask, ReleaseTask, demo_jobs
from avjepa.encoders.bundled import read_backbone_manifest
from avjepa.errors import UserError
from avjepa.study.own_process import run_in_own_process
from avjepa.study.runner import Job
from tests.commands.demo_tasks import CountThreads, Note
from tests.living import Marked, wait_until


def jobs_of(folder: Path, zoo: str) -> dict[str, Job[DemoTask]]:
    return {job.name: job for job in demo_jobs(folder, 3, zoo, FULL)}


def test_what_starts_from_nothing_has_the_network_labels_and_steps_of_the_second_release(
    small_zoo: str, tmp_path: Path
) -> None:
    jobs = jobs_of(tmp_path, small_zoo)
    scratch, release, first = jobs["scratch"].task, jobs["r2"].task, jobs["r1"].task
    assert isinstance(scratch, FinetuneTask) and isinstance(release, ReleaseTask) and isinstance(first, ReleaseTask)
    heads = load_config(HEADS)
    configuration = scratch.configuration
    assert configuration["model"]["backbone"] == read_backbone_manifest(small_zoo).architecture
    assert configuration["model"]["tasks"] == heads["model"]["tasks"]
    assert configuration["model"]["neck"] == heads["model"]["neck"]
    assert str(configuration["trainer"]["max_steps"]) == release.options["steps"] == first.options["steps"]
    assert "scenes" not in configuration["data"] and "data.scenes" not in release.options
    assert first.options["data.scenes"] == str(FULL.first_labels)
    assert configuration["data"]["clips"] == heads["data"]["clips"]
    assert configuration["data"]["sensors"] == ["lidar"]


def test_every_job_waits_for_what_it_reads(small_zoo: str, tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, small_zoo)
    done: set[str] = set()
    for job in jobs.values():
        assert set(job.needs) <= done
        done.add(job.name)
    assert jobs["r1"].needs == ("maps",) and jobs["compare"].needs == ("r1", "r2")


def test_pretraining_gets_no_label_option(small_zoo: str, tmp_path: Path) -> None:
    task = jobs_of(tmp_path, small_zoo)["pretrain"].task
    assert isinstance(task, PretrainTask)
    assert "scenes" not in task.configuration["data"], "all training scenes, unlabelled"


def two_jobs(folder: Path, **changes: Any) -> list[Job[DemoTask]]:
    path = str(folder / "notes.txt")
    folder.mkdir(exist_ok=True)
    first = replace(Note(path, "first"), **changes)
    return [Job("first", first), Job("second", Note(path, "second"), needs=("first",))]


def notes(folder: Path) -> list[str]:
    return (folder / "notes.txt").read_text().splitlines()


def test_jobs_run_once_in_order_in_their_own_processes_and_are_measured(tmp_path: Path) -> None:
    outcomes = run_demo(two_jobs(tmp_path), tmp_path)
    assert notes(tmp_path) == ["first", "second"]
    assert [outcome["job"] for outcome in outcomes] == ["first", "second"]
    assert all(outcome["peak_mebibytes"] > 5 and outcome["seconds"] > 0 for outcome in outcomes)
    assert (tmp_path / "logs" / "first.log").read_text() == "noted first\n"
    assert run_demo(two_jobs(tmp_path), tmp_path) == outcomes
    assert notes(tmp_path) == ["first", "second"], "nothing is done twice"


def test_a_job_with_other_values_is_done_again_and_so_is_what_needs_it(tmp_path: Path) -> None:
    run_demo(two_jobs(tmp_path), tmp_path)
    outcomes = run_demo(two_jobs(tmp_path, line="changed"), tmp_path)
    assert notes(tmp_path) == ["first", "second", "changed", "second"]
    assert outcomes[0]["task"]["line"] == "changed"


def test_a_failure_names_job_reason_and_log_and_stops_the_others(tmp_path: Path) -> None:
    jobs = [*two_jobs(tmp_path, fails=True), Job("long", Note(str(tmp_path / "notes.txt"), "long", seconds=600))]
    with pytest.raises(UserError, match=r"step 'first' failed: .*table without rows.*first\.log"):
        run_demo(jobs, tmp_path)
    assert not list((tmp_path / "outcomes").iterdir())
    run_demo(two_jobs(tmp_path), tmp_path)
    assert notes(tmp_path)[-2:] == ["first", "second"], "the next start tries again"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_job_has_as_many_threads_as_it_is_given(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the task, when it is unpickled, imports torch before anything can be said about threads."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    task = CountThreads(str(tmp_path / "threads"))
    run_in_own_process(partial(task.run, 0), tmp_path / "log", threads, threading.Event())
    assert (tmp_path / "threads").read_text() == str(threads)


def killed_demo(folder: Path) -> Marked:
    """A demo in another process, in the midst of its first job."""
    two_jobs(folder)
    marked = Marked(
        "from pathlib import Path; from avjepa.commands.demo import run_demo; from tests.commands import test_demo\n"
        f"folder = Path({str(folder)!r})\n"
        "if __name__ == '__main__': run_demo(test_demo.two_jobs(folder, seconds=600), folder)"
    )
    assert wait_until(lambda: (folder / "notes.txt").is_file())
    return marked


def test_a_killed_demo_takes_its_jobs_along_and_the_next_one_does_them_at_once(tmp_path: Path) -> None:
    marked = killed_demo(tmp_path)
    assert len(marked.living()) >= 2
    marked.kill()
    assert wait_until(lambda: not marked.living(), 10), marked.living()
    run_demo(two_jobs(tmp_path), tmp_path)
    assert notes(tmp_path) == ["first", "first", "second"]


def test_a_second_demo_in_a_folder_says_that_it_waits_for_the_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    marked = killed_demo(tmp_path)
    thread = threading.Thread(target=run_demo, args=(two_jobs(tmp_path), tmp_path))
    thread.start()
    threading.Event().wait(1.5)
    assert notes(tmp_path) == ["first"], "it is not done by both"
    marked.kill()
    thread.join(60)
    assert notes(tmp_path) == ["first", "first", "second"]
    assert f"waiting for first ({os.uname().nodename} process {marked.process.pid}" in capfd.readouterr().out
