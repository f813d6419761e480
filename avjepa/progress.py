"""The one progress bar: on stderr, with what is done and how long the rest will take."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Advance = Callable[[int], object]
"""Called with every number of things that are done."""

_WORTH_A_BAR = 100_000_000  # bytes: about a second of reading
_shown: list[str] = []
"""Title of the bar that is on the screen."""


@contextlib.contextmanager
def progress_bar(title: str, total: int | None, *, done: int = 0, of_bytes: bool = False) -> Iterator[Advance]:
    """Show a bar while a block runs. Where stderr is no terminal, and inside of another bar, nothing is shown.

    Args:
        title: what is being done.
        total: how many things there are; ``None`` where nobody knows.
        done: how many of them were done before.
        of_bytes: whether they are bytes.
    """
    if _shown:
        yield lambda count: None
        return
    from rich.console import Console  # takes a while to import, and many commands show no bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn(), TimeRemainingColumn())
    _shown.append(title)
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(title, total=total, completed=done)
            yield lambda count: progress.advance(task, count)
    finally:
        _shown.remove(title)


def with_bar(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar that moves on whenever the next one is asked for.

    Args:
        items: what is gone through.
        title: what is done with them.
        total: how many there are, where they cannot be counted themselves.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar(title, total) as advance:
        for item in items:
            yield item
            advance(1)


@contextlib.contextmanager
def reading_bar(title: str, files: Sequence[Path]) -> Iterator[Advance]:
    """A bar over the bytes of some files, if they take more than a moment to read."""
    total = sum(path.stat().st_size for path in files if path.is_file())
    if total < _WORTH_A_BAR:
        yield lambda count: None
        return
    with progress_bar(title, total, of_bytes=True) as advance:
        yield advance
