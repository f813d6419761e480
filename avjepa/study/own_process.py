"""One task in a process of its own: measured, logged, and gone when whoever started it is."""

import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from avjepa.errors import UserError, one_line
from avjepa.processes import end_with_parent, peak_resident_bytes

INTERRUPTED = 130
_LOOK = 0.2
"""Seconds between two looks at whether to stop."""
_GRACE = 10.0
"""Seconds that a process is given to end by itself."""


def run_in_own_process(task: Callable[[], None], log: Path, threads: int, stop: threading.Event) -> float:
    """Call ``task`` in a new process and wait for it; its largest resident memory in MiB, without its data workers.

    Args:
        task: can be pickled.
        log: receives everything that it prints.
        threads: processor threads that it may use.
        stop: ends the process once set.

    Raises:
        UserError: the task failed; the message is its own, and names the log.
        KeyboardInterrupt: it was interrupted or stopped.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    # spawned, not forked: a task may start threads and use a GPU
    process = multiprocessing.get_context("spawn").Process(target=_main, args=(task, str(log), threads, sender))
    process.start()
    sender.close()
    while process.is_alive() and not stop.is_set():
        process.join(_LOOK)
    if process.is_alive():
        process.terminate()
        process.join(_GRACE)
        process.kill()
    process.join()
    if process.exitcode == 0:
        peak: float = receiver.recv()
        return peak
    if stop.is_set() or process.exitcode == INTERRUPTED:
        raise KeyboardInterrupt
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if process.exitcode is not None and process.exitcode < 0:  # it could not say anything of its end
        reason = f"its process was killed by signal {-process.exitcode}, perhaps for lack of memory"
    else:
        reason = lines[-1] if lines else f"its process ended with {process.exitcode}"
    raise UserError(f"{reason.removeprefix('avjepa: error: ')} (log: {log})")


def _main(task: Callable[[], None], log: str, threads: int, sender: Connection) -> None:
    end_with_parent()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when it is imported, here or in data workers
    if (torch := sys.modules.get("torch")) is not None:  # unpickling the task imported it
        torch.set_num_threads(threads)
    with open(log, "wb") as output:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(output.fileno(), stream.fileno())
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        task()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        line = one_line(error)
        if line is None:
            traceback.print_exc()
        print(f"avjepa: error: {line or repr(error)}", file=sys.stderr, flush=True)
        sys.exit(2 if line else 1)
    sender.send(round(peak_resident_bytes() / 2**20, 1))
