"""What a run skipped, gathered from all worker processes of its process."""

import json
import os
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any

from avjepa.errors import BadFileError


class BadFileLog:
    """Bad files and replaced draws of a run.

    Workers write lines to one temporary file, so that nothing has to be passed between processes. It has no name: it
    is gone with the last process that holds it open, however that one ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it goes with the object
        self._written: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """For a new worker process: the same file, open there too."""
        return {"handle": DupFd(self._file.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = open(state["handle"].detach(), "r+b", buffering=0)  # noqa: SIM115
        self._written = set()

    def add(self, error: BadFileError) -> None:
        """Note a bad file; noting it again changes nothing."""
        if error.path not in self._written:
            self._written.add(error.path)
            self._append([error.path, error.problem])

    def add_replaced_draw(self) -> None:
        """Note that a draw of a moment with a bad file was replaced by another one."""
        self._append([])

    def files(self) -> dict[str, str]:
        """What is wrong, by file."""
        return dict(sorted(line for line in self._lines() if line))

    def replaced_draws(self) -> int:
        """How many draws were replaced."""
        return sum(not line for line in self._lines())

    def summary(self, longest: int = 20) -> str:
        """Lines for the end of a run; empty if nothing was skipped."""
        files = self.files()
        if not files:
            return ""
        subject = "1 bad file was" if len(files) == 1 else f"{len(files)} bad files were"
        lines = [f"{subject} skipped; draws replaced by others: {self.replaced_draws()}"]
        lines += [f"  {path}: {problem}" for path, problem in list(files.items())[:longest]]
        if len(files) > longest:
            lines.append(f"  … and {len(files) - longest} more")
        return "\n".join(lines)

    def _append(self, line: list[str]) -> None:
        # one write: all processes share one position in the file, the end, and none comes between
        self._file.write(json.dumps(line).encode() + b"\n")

    def _lines(self) -> list[list[str]]:
        handle = self._file.fileno()
        content = os.pread(handle, os.fstat(handle).st_size, 0)  # leaves the common position where it is
        return [json.loads(line) for line in content.splitlines()]
