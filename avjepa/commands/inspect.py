"""``avjepa inspect``."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.errors import UserError


def inspect(
    data: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str = "nuscenes",
    json: bool = False,
    fast: bool = False,
    every_file: bool = False,
) -> None:
    """Say what a dataset holds and what is broken; exit code 2 where something broken stops a training.

    Broken are records, tables, files, and a dataset of which no split has data of a channel that is read. What is only
    not plausible, labels that nobody made and a split that is not named leave the exit code at 0.

    Args:
        data: the dataset's root folder.
        version: name of its folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of nuScenes by default.
        taxonomy: the classes: nuscenes, or a YAML file of its form.
        json: print JSON instead of tables.
        fast: read the tables alone, no sensor file.
        every_file: open every sensor file; by default all are looked for and 200 of each sensor are opened.
    """
    from rich.console import Console

    from avjepa.data.channels import load_channels
    from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
    from avjepa.data.nuscenes.inspection.rendering import rendered

    if fast and every_file:
        raise UserError("--fast and --every_file: no file and every file at once; leave one out")
    report = inspect_dataset(
        data,
        version,
        sensors=load_channels(channels),
        taxonomy=taxonomy,
        files=not fast,
        opened_per_channel=None if every_file else 200,
    )
    if json:
        print(report.to_json())
    else:
        Console().print(rendered(report))
    if report.blocked:
        raise UserError(f"{Path(data) / version} is broken: {report.blocked}; mend what the report lists")


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("inspect", inspect, arguments)
