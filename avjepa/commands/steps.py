"""Commands run as steps of a larger job: each in its own process, measured, and skipped when it is done already."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from avjepa.errors import UserError
from avjepa.files import write_json


@dataclass(frozen=True)
class Step:
    """One call of the command line.

    Args:
        name: names the log file and the record of the step.
        arguments: what follows ``avjepa`` on the command line.
        needs: names of the steps that have to be finished before.
    """

    name: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepRecord:
    """What a finished step cost."""

    name: str
    arguments: list[str]
    seconds: float
    peak_mebibytes: float
    """Largest resident memory of the step's own process, without its data workers."""


class StepRunner:
    """Runs steps in parallel processes, one log file and one record each.

    Args:
        folder: receives ``logs/NAME.log`` and ``steps/NAME.json``.
        slots: how many steps run at a time; each gets an equal share of the processor's cores.
    """

    def __init__(self, folder: Path, slots: int) -> None:
        self.folder = folder
        self.slots = slots
        self.threads = max(1, (os.cpu_count() or 1) // slots)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, steps: Sequence[Step]) -> list[StepRecord]:
        """Run what is not done yet; the records of all steps, in their order.

        Raises:
            UserError: a step failed; the message is the last line that the step printed, and names its log.
        """
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        records = {step.name: record for step in steps if (record := self._finished(step))}
        waiting = [step for step in steps if step.name not in records]
        futures: dict[Future[StepRecord], str] = {}
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns) as progress, ThreadPoolExecutor(self.slots) as pool:
            lines = {}
            for step in steps:
                done = step.name in records
                lines[step.name] = progress.add_task(
                    step.name + (" (done before)" if done else ""), total=1, completed=int(done), start=False
                )
            try:
                while waiting or futures:
                    for step in [step for step in waiting if all(need in records for need in step.needs)]:
                        if len(futures) < self.slots:
                            waiting.remove(step)
                            progress.start_task(lines[step.name])
                            futures[pool.submit(self._run_one, step)] = step.name
                    finished, _ = wait(futures, return_when=FIRST_COMPLETED)
                    for future in finished:
                        name = futures.pop(future)
                        records[name] = future.result()
                        progress.update(lines[name], completed=1)
                        progress.stop_task(lines[name])
            except BaseException:
                self._stop()
                raise
        return [records[step.name] for step in steps]

    def _record_path(self, step: Step) -> Path:
        return self.folder / "steps" / f"{step.name}.json"

    def _finished(self, step: Step) -> StepRecord | None:
        path = self._record_path(step)
        if not path.is_file():
            return None
        record = StepRecord(**json.loads(path.read_text(encoding="utf-8")))
        return record if record.arguments == list(step.arguments) else None

    def _run_one(self, step: Step) -> StepRecord:
        log = self.folder / "logs" / f"{step.name}.log"
        environment = dict(os.environ, OMP_NUM_THREADS=str(self.threads), PYTHONUNBUFFERED="1")
        started = time.monotonic()
        with log.open("wb") as output:
            command = [sys.executable, "-m", "avjepa.cli", *step.arguments]
            with self._lock:
                if self._stopped:
                    raise KeyboardInterrupt
                process = subprocess.Popen(
                    command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
                )
                self._running[step.name] = process
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            with self._lock:
                del self._running[step.name]
        if process.returncode != 0:
            lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
            reason = lines[-1].removeprefix("avjepa: error: ") if lines else f"exit code {process.returncode}"
            raise UserError(f"step '{step.name}' failed: {reason} (log: {log})")
        # wait4 gives kibibytes on Linux and bytes on macOS
        unit = 2**20 if sys.platform == "darwin" else 2**10
        record = StepRecord(
            step.name, list(step.arguments), round(time.monotonic() - started, 2), round(usage.ru_maxrss / unit, 1)
        )
        write_json(self._record_path(step), asdict(record))
        return record

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running.values():
                process.terminate()
