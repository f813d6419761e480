"""``avjepa release compare OLD NEW`` and ``avjepa release note NEW``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avjepa.commands.parsing import run_function
from avjepa.errors import RefusedError, UserError

STORE = Path("releases")


def compare(
    old: str,
    new: str,
    store: Path = STORE,
    split: str | None = None,
    data: Path | None = None,
    version: str | None = None,
    channels: Path | None = None,
    gate: Path | None = None,
    out: Path | None = None,
) -> None:
    """Say what changed from one release to the next, how sure that is, and whether the new one may go out.

    Compares every figure that both have, by class and by slice (distance, size, speed, visibility, points, light), with
    a paired bootstrap over scenes. Writes comparison.md, comparison.html and comparison.json into OUT. Exit code 1 if
    the gate stops the new release.

    Args:
        old: name of the release that is out.
        new: name of the one that may follow it.
        store: folder of the releases.
        split: the split that both were evaluated on; the new release's eval_split by default.
        data: root folder of the dataset; the new release's own by default.
        version: name of its folder of tables; the new release's own by default.
        channels: a YAML file that says which channels are lidar, cameras and radars; the new release's by default.
        gate: a YAML file of margins; configs/release/gate.yaml by default.
        out: folder for the comparison; STORE/comparisons/OLD_NEW by default.

    Raises:
        RefusedError: the gate stops the new release.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from avjepa.evaluate.comparing import tables
    from avjepa.evaluate.comparing.pages import notes, verdict

    record, folder = recorded(old, new, store, split, data, version, channels, gate, out)
    console = Console()
    for task, figures in record["figures"].items():
        table = Table(title=f"{task}: {old} → {new}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column, heading in enumerate(tables.FIGURES):
            table.add_column(heading, justify="left" if column < 2 else "right")
        for row in tables.figure_rows(figures):
            table.add_row(*row)
        Console(file=console.file, width=max(console.width, 120)).print(table)
    for line in (verdict(record), *notes(record)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(folder / "comparison.html")
    if not record["passed"]:
        raise RefusedError


def recorded(
    old: str,
    new: str,
    store: Path = STORE,
    split: str | None = None,
    data: Path | None = None,
    version: str | None = None,
    channels: Path | None = None,
    gate: Path | None = None,
    out: Path | None = None,
    pages: bool = True,
) -> tuple[dict[str, Any], Path]:
    """Compare two releases and write comparison.json; arguments are those of ``compare``.

    Args:
        pages: also write comparison.md and comparison.html, with their pictures.

    Returns:
        The record, and the folder in which it lies.
    """
    from avjepa.commands.released_results import ReleaseFolder, require_same_data
    from avjepa.commands.splits import scenes_of
    from avjepa.data.channels import SensorChannels, load_channels
    from avjepa.data.datasets import open_dataset
    from avjepa.evaluate.comparing.comparison import compared
    from avjepa.evaluate.comparing.examples import examples
    from avjepa.evaluate.comparing.gate import PACKAGED, load_gate
    from avjepa.evaluate.comparing.pages import html_page, markdown_page
    from avjepa.evaluate.comparing.records import FILE, as_json
    from avjepa.files import write_json, write_text

    if old == new:
        raise UserError(f"release {old!r:.80}: is compared with itself; name two releases")
    margins = load_gate(gate or PACKAGED)
    folders = ReleaseFolder.open(store, old), ReleaseFolder.open(store, new)
    own = folders[1].data
    split = split or str(own.get("eval_split", "val"))
    fingerprints = require_same_data(*folders, split)
    before, after = (folder.released(split) for folder in folders)
    named = own.get("channels")
    chosen = (
        SensorChannels(**{kind: tuple(names) for kind, names in named.items()}) if isinstance(named, dict) else None
    )
    source = open_dataset(
        data or Path(str(own.get("dataroot"))), version or str(own.get("version")),
        load_channels(channels) if channels is not None else chosen, after.taxonomy,
    )  # fmt: skip
    scenes_of(source, split, "--split")
    if not source.has_labels():
        raise UserError(f"{source.name}: has no annotations to compare releases by; choose an annotated dataset")
    if source.fingerprint() != fingerprints.get("index"):
        raise UserError(
            f"{source.name}: is not the data that the releases were evaluated on; give that with --data and --version"
        )
    if source.label_fingerprint() != fingerprints.get("annotations"):
        raise UserError(
            f"{source.name}: its annotations are not those of the evaluations; evaluate both releases again"
        )
    comparison = compared(source, split, before, after, margins)
    record = as_json(comparison, version=source.version, split=split, data=fingerprints)
    folder = out or store / "comparisons" / f"{old}_{new}"
    if pages:
        page = html_page(record, examples(source, split, comparison))
        write_text(folder / "comparison.md", markdown_page(record))
        page.write(folder / "comparison.html")
    write_json(folder / FILE, record)
    return record, folder


def note(
    new: str,
    why: str,
    old: str | None = None,
    store: Path = STORE,
    comparison: Path | None = None,
    out: Path | None = None,
) -> None:
    """Write the note of a release: why, old and new scores, what it was made with, and what the gate said.

    Args:
        new: name of the release.
        why: the reason for the release, in words.
        old: the release that it was compared with; needed where there are several comparisons.
        store: folder of the releases.
        comparison: folder that "avjepa release compare" wrote; STORE/comparisons/OLD_NEW by default.
        out: the note (Markdown); note.md in the folder of the comparison by default.
    """
    from avjepa.commands.release_note import note_of
    from avjepa.commands.released_results import ReleaseFolder
    from avjepa.evaluate.comparing.records import FILE, read_comparison
    from avjepa.files import write_text

    if not why.strip():
        raise UserError("--why: is empty; say in words what the release is for")
    folder = comparison or _comparison_of(store, old, new)
    record = read_comparison(folder / FILE)
    if record["new"] != new or old not in (None, record["old"]):
        raise UserError(
            f"{folder / FILE}: compares {record['old']!r:.80} with {record['new']!r:.80}, not "
            f"{old or record['old']!r:.80} with {new!r:.80}; give another --comparison"
        )
    releases = (ReleaseFolder.open(store, record["old"]), ReleaseFolder.open(store, new))
    path = out or folder / "note.md"
    write_text(path, note_of(record, why.strip(), *releases))
    print(path)


def _comparison_of(store: Path, old: str | None, new: str) -> Path:
    """The folder of the one comparison that there is."""
    found = sorted((store / "comparisons").glob(f"*_{new}/comparison.json"))
    if old is not None:
        return store / "comparisons" / f"{old}_{new}"
    if len(found) != 1:
        problem = "was not compared" if not found else "was compared with several"
        raise UserError(f"release {new!r:.80}: {problem}; run avjepa release compare, or name one with --old")
    return found[0].parent


def _named(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """The arguments, in which the first ones have names, as many as are no options."""
    result = list(arguments)
    for place, name in enumerate(names):
        if place >= len(arguments) or arguments[place].startswith("-"):
            break
        result[place] = f"--{name}={arguments[place]}"
    return result


def run_compare(arguments: Sequence[str]) -> None:
    """Parse and run ``avjepa release compare``."""
    run_function("release compare", compare, _named(arguments, ("old", "new")))


def run_note(arguments: Sequence[str]) -> None:
    """Parse and run ``avjepa release note``."""
    run_function("release note", note, _named(arguments, ("new",)))
