"""``avjepa demo``: a release cycle on a small synthetic world, by the project's own commands, ending in one page."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from avjepa.commands.demo_jobs import FULL, QUICK, DemoTask, demo_jobs
from avjepa.commands.parsing import run_function
from avjepa.errors import UserError
from avjepa.study.own_process import run_in_own_process
from avjepa.study.runner import Job, Runner
from avjepa.study.screen import JobLines
from avjepa.study.store import Store
from avjepa.zoo import PREFIX, located

SLOTS = 2
"""How many jobs run at a time."""


class DemoRunner(Runner[DemoTask]):
    """Does each job in a process of its own; the first failure stops all runners that share ``stop``.

    Args:
        jobs: of the demo.
        store: of its outcomes.
        lines: shows what is done.
        slot: number of this runner among those of the demo: which device its jobs get.
        stop: shared by the runners.
    """

    def __init__(
        self, jobs: Sequence[Job[DemoTask]], store: Store, lines: JobLines, slot: int, stop: threading.Event
    ) -> None:
        super().__init__(jobs, store, lines.tell, wait=0.5, stop=stop)
        self.lines, self.slot = lines, slot

    def do(self, job: Job[DemoTask], folder: Path) -> dict[str, Any]:
        """Run and measure it; what it prints goes to ``logs/JOB.log``."""
        threads = max(1, (os.cpu_count() or 1) // SLOTS)
        log = self.store.folder / "logs" / f"{job.name}.log"
        peak = run_in_own_process(partial(job.task.run, self.slot), log, threads, self.stop)
        return {"task": asdict(job.task), "peak_mebibytes": peak}

    def begun(self, name: str) -> None:
        """On the job's line."""
        self.lines.begin(name)

    def done(self, name: str, outcome: dict[str, Any]) -> None:
        """On the job's line."""
        self.lines.end(name)

    def failed(self, name: str, reason: str) -> None:
        """The others stop."""
        self.stop.set()


def run_demo(jobs: Sequence[Job[DemoTask]], folder: Path) -> list[dict[str, Any]]:
    """Do what is not done yet, several at a time; the outcomes of all jobs, in their order.

    Raises:
        UserError: a job failed.
    """
    store, stop = Store(folder), threading.Event()
    store.forget_failures()
    changed: set[str] = set()
    for job in jobs:  # one that was done otherwise, or after one that was, is done again
        outcome = store.outcome(job.name)
        if outcome is None or outcome.get("task") != asdict(job.task) or not changed.isdisjoint(job.needs):
            changed.add(job.name)
            store.forget(job.name)
    with JobLines([job.name for job in jobs], done=store.finished()) as lines, ThreadPoolExecutor(SLOTS) as pool:
        futures = [pool.submit(DemoRunner(jobs, store, lines, slot, stop).run) for slot in range(SLOTS)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    for job in jobs:
        if failure := store.failure(job.name):
            raise UserError(f"step '{job.name}' failed: {failure['reason']}")
    for future in futures:
        future.result()
    outcomes = [store.outcome(job.name) for job in jobs]
    return [outcome for outcome in outcomes if outcome is not None]


def demo(out: Path = Path("demo"), seed: int = 0, backbone: str = "zoo:fused-tiny", quick: bool = False) -> None:
    """Go through a release cycle on a small synthetic world, and write report.html.

    Pre-trains briefly, to show it; then trains heads for detection, segmentation and re-identification on a backbone of
    the zoo, for a release with few labels and one with more, compares them and asks the gate. Beside them the same
    network is trained from nothing with equal steps. Does what the commands of a real job do; OUT/outcomes lists it. An
    interrupted demo continues when it is started again.

    Args:
        out: folder of everything the demo makes.
        seed: of the world and of all training.
        backbone: of the zoo; "avjepa zoo" lists them.
        quick: a tenth of it, which shows that everything runs.
    """
    if not backbone.startswith(PREFIX):
        raise UserError(f"--backbone {backbone}: must be one of the zoo, as in zoo:fused-tiny; 'avjepa zoo' lists them")
    located(backbone)
    size = QUICK if quick else FULL
    outcomes = run_demo(demo_jobs(out, seed, backbone, size), out)
    from avjepa.commands.demo_report import write_report

    print(write_report(out, seed, backbone, size, outcomes))


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("demo", demo, arguments)
