"""A progress bar for reading tables that take more than a moment."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

_WORTH_A_BAR = 100_000_000  # bytes: about a second


@contextlib.contextmanager
def reading_progress(title: str, tables: Sequence[Path]) -> Iterator[Callable[[int], object]]:
    """Show on stderr how far the reading of some tables is; yields what to call with every number of bytes read."""
    total = sum(path.stat().st_size for path in tables if path.is_file())
    if total < _WORTH_A_BAR:
        yield lambda count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)
