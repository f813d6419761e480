"""The one progress bar: on stderr, with what is done and how long the rest will take."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")


@contextlib.contextmanager
def progress_bar(title: str, total: int | None, *, of_bytes: bool = False) -> Iterator[Callable[[int], object]]:
    """Show a bar while a block runs; where stderr is no terminal, nothing.

    Args:
        title: what is being done.
        total: how many things there are; ``None`` where nobody knows.
        of_bytes: whether they are bytes.

    Yields:
        what to call with every number of things that are done.
    """
    from rich.console import Console  # takes a while to import, and many commands show no bar
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    done = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def tracked(items: Iterable[Item], title: str) -> Iterator[Item]:
    """The items, with a bar that moves on whenever the next one is asked for."""
    with progress_bar(title, len(items) if isinstance(items, Sized) else None) as advance:
        for item in items:
            yield item
            advance(1)
