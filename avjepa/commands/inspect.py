"""``avjepa inspect``."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.errors import UserError


def inspect(
    data: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str | None = None,
    json: bool = False,
    html: Path | None = None,
    fast: bool = False,
    every_file: bool = False,
) -> None:
    """Say what a dataset holds, what is broken, and why a score may be zero; exit code 2 where a training would stop.

    Broken are records, tables, files, and a dataset of which no split has data of a channel that is read. What is only
    not plausible, labels that nobody made and a split that is not named leave the exit code at 0. Labels and points are
    looked into for any layout; tables and files for that of nuScenes.

    Args:
        data: the dataset's root folder.
        version: name of its folder of tables, or of its part.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default.
        json: print JSON instead of tables.
        html: also write a page with verdicts, tables, and a keyframe from above and in every camera.
        fast: read the tables alone, no sensor file.
        every_file: open every sensor file; by default all are looked for and 200 of each sensor are opened.
    """
    from rich.console import Console

    from avjepa.commands.inspection import inspected, write_page
    from avjepa.data.channels import load_channels
    from avjepa.data.taxonomy import load_taxonomy

    if fast and every_file:
        raise UserError("--fast and --every_file: no file and every file at once; leave one out")
    if html is not None and html.suffix.lower() != ".html":
        raise UserError(f"--html {html}: the page is HTML; give a name that ends in .html")
    if taxonomy is not None:
        load_taxonomy(taxonomy)
    sensors = None if channels is None else load_channels(channels)
    found = inspected(data, version, sensors, taxonomy, fast, every_file)
    if json:
        print(found.report.to_json())
    else:
        Console().print(found.rendered())
    if html is not None:
        write_page(html, found, with_files=not fast)
        if not json:
            print(html)
    if found.report.blocked:
        raise UserError(f"{Path(data) / version} is broken: {found.report.blocked}; mend what the report lists")


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("inspect", inspect, arguments)
