"""The list of skipped files: common to a process and its workers, and gone with them."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avjepa.data.files.bad_files import BadFileLog
from avjepa.errors import BadFileError

HOLDS_A_LOG = """
import time
from avjepa.data.files.bad_files import BadFileLog
from avjepa.errors import BadFileError
log = BadFileLog()
log.add(BadFileError("a.bin", "truncated"))
print(log.files(), flush=True)
time.sleep(60)
"""


def note(log: BadFileLog, path: str) -> None:
    log.add(BadFileError(path, "truncated"))
    log.add(BadFileError(path, "truncated"))
    log.add_replaced_draw()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_what_workers_note_arrives(start: str) -> None:
    log = BadFileLog()
    note(log, "own.bin")
    context = multiprocessing.get_context(start)
    workers = [context.Process(target=note, args=(log, f"{n}.bin")) for n in range(2)]  # type: ignore[attr-defined]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    note(log, "last.bin")
    assert log.files() == dict.fromkeys(["0.bin", "1.bin", "last.bin", "own.bin"], "truncated")
    assert log.replaced_draws() == 4
    assert "4 bad files were skipped; draws replaced by others: 4\n  0.bin: truncated\n" in log.summary()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_process_that_is_killed(end: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", HOLDS_A_LOG]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "{'a.bin': 'truncated'}\n"
        process.send_signal(end)
        assert process.wait(10) == -end
    assert list(tmp_path.iterdir()) == []
