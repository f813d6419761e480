"""Jobs on the terminal, a line each."""

from collections.abc import Collection, Sequence
from types import TracebackType

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class JobLines:
    """Shows what runs, for how long, and what is done.

    Args:
        names: of the jobs.
        done: those that were done before.
    """

    def __init__(self, names: Sequence[str], done: Collection[str]) -> None:
        columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns)
        self._lines = {
            name: self._progress.add_task(
                name + (" (done before)" if name in done else ""), total=1, completed=int(name in done), start=False
            )
            for name in names
        }

    def __enter__(self) -> "JobLines":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def tell(self, line: str) -> None:
        """A line above the jobs'."""
        self._progress.console.print(line)

    def begin(self, name: str) -> None:
        """The job's clock starts."""
        self._progress.start_task(self._lines[name])

    def end(self, name: str) -> None:
        """The job is done."""
        self._progress.update(self._lines[name], completed=1)
        self._progress.stop_task(self._lines[name])
