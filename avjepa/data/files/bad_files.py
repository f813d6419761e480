"""What a run skipped, gathered from all worker processes of its process."""

import json
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

from avjepa.errors import BadFileError


class BadFileLog:
    """Bad files and replaced draws of a run.

    Workers write lines to a temporary file in append mode, so that nothing has to be passed between processes.
    """

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="avjepa-bad-files-", suffix=".jsonl")
        os.close(handle)
        self._path = Path(name)
        self._written: set[str] = set()
        weakref.finalize(self, _delete, self._path, os.getpid())

    def __getstate__(self) -> dict[str, Any]:  # a copy in a worker process writes to the same file
        return {"_path": self._path, "_written": set()}

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
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self) -> list[list[str]]:
        # Something that tidies the temporary folder may take the file away during a run of days; the run must not fail.
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]


def _delete(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker's copy must not take the file away
        path.unlink(missing_ok=True)
