"""``avjepa inspect``."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function


def inspect(data: Path, version: str = "v1.0-trainval", json: bool = False, every_file: bool = False) -> None:
    """Say what a dataset holds and what is broken or missing in it, file by file.

    Args:
        data: the dataset's root folder.
        version: name of its folder of tables.
        json: print JSON instead of tables.
        every_file: open every sensor file; by default all are looked for and 200 of each sensor are opened.
    """
    from rich.console import Console

    from avjepa.data.inspect import inspect_dataset

    report = inspect_dataset(data, version, opened_per_channel=None if every_file else 200)
    if json:
        print(report.to_json())
    else:
        Console().print(report)


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("inspect", inspect, arguments)
