"""Which processes of a command are still there, found through /proc by a mark in their environment."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path


class Marked:
    """Python code in a process of its own, whose descendants can be told from all others.

    Args:
        code: what ``python -c`` runs.
    """

    def __init__(self, code: str) -> None:
        self.mark = f"AVJEPA_TEST={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, name: value, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", code], env=environment)

    def living(self) -> list[int]:
        """Process ids of it and its descendants; the dead that nobody has waited for do not count."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                if marked and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(folder.name))
            except OSError:
                continue  # gone, or not ours
        return found

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process alone, and wait for its end."""
        self.process.send_signal(number)
        self.process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()
