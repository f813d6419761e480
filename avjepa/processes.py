"""Processes that do not outlive the one that started them, and the memory that they have taken."""

import multiprocessing
import os
import re
import resource
import sys
import threading
from pathlib import Path


def end_with_parent() -> None:
    """Have this process end when the one that started it is gone, however that ended.

    For processes of ``multiprocessing``: called first in the new one, or as ``initializer`` of a pool.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # at once: nobody is left to whom anything could be said

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def peak_resident_bytes() -> int:
    """The largest memory that this process has had at once, without that of its children."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux; getrusage gives bytes on macOS, kibibytes elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
    # getrusage counts on Linux what a new process shared with its parent before it ran a program of its own
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    assert peak is not None
    return int(peak[1]) * 2**10
