"""``avjepa zoo``."""

from collections.abc import Sequence

from avjepa.commands.parsing import run_function


def zoo(show: str | None = None) -> None:
    """List the backbones that come with the package; each is used as zoo:NAME wherever a bundle is asked for.

    Args:
        show: NAME of a bundle whose model card is printed instead.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from avjepa.bundle.manifest import WEIGHTS
    from avjepa.files import read_text
    from avjepa.release.store import read_record
    from avjepa.zoo import PREFIX, located, names

    if show is not None:
        print(read_text(located(PREFIX + show.removeprefix(PREFIX)) / "README.md"))
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("bundle", "version", "sensors", "cells (m)", "parameters", "MB", "steps", "for"):
        table.add_column(heading, justify="right" if heading in ("cells (m)", "parameters", "MB", "steps") else "left")
    for name in names():
        folder = located(PREFIX + name)
        record = read_record(folder, interface=dict, inputs=dict, trained=dict, version=str)
        table.add_row(
            PREFIX + name,
            record["version"],
            ", ".join(record["inputs"]["sensors"]),
            f"{record['interface']['token_grid']['cell']:g}",
            f"{record['parameters']:,}",
            f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f}",
            f"{record['trained']['steps']:,}",
            record["why"].partition(". ")[0],
        )
    console = Console()
    Console(file=console.file, width=max(console.width, 140)).print(table)
    print("avjepa zoo --show NAME prints the model card: data, commands, scores, limits.")


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("zoo", zoo, arguments)
