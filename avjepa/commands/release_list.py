"""``avjepa release list``, ``promote`` and ``roll-back``."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.errors import RefusedError, UserError


def list_(store: Path = Path("releases"), verify: bool = False) -> None:
    """Say what a store holds: backbones with their versions, releases with their scores, and the aliases.

    Args:
        store: folder of the store.
        verify: also read every file of weights and compare its checksum.
    """
    from rich.console import Console
    from rich.table import Table

    from avjepa.bundle.manifest import WEIGHTS
    from avjepa.release.aliases import aliases_of
    from avjepa.release.heads import FILE, file_sha256
    from avjepa.release.inputs import inputs_of
    from avjepa.release.store import Store, read_record

    place = Store(store)
    if not store.is_dir():
        raise UserError(f"--store {store}: there is no such folder; avjepa release freeze begins one")
    damaged = []
    backbones = Table("backbone", "versions", "sensors", "parameters", "licence", title=str(store))
    for name, versions in place.backbones().items():
        for version in versions:
            folder = place.backbone_folder(name, version)
            record = read_record(folder, sha256=str, inputs=dict, parameters=int)
            if verify and file_sha256(folder / WEIGHTS) != record["sha256"]:
                damaged.append(folder / WEIGHTS)
            if version == versions[-1]:
                sensors = ", ".join(inputs_of(folder)["sensors"])
                shown = ", ".join(map(str, versions))
                backbones.add_row(name, shown, sensors, f"{record['parameters']:,}", str(record.get("licence")))
    aliases = aliases_of(place)
    releases = Table("release", "is", "backbone", "tasks", "scores", "ms")
    for name in place.releases():
        folder = place.release_folder(name)
        record = read_record(folder, sha256=dict, backbone=dict, tasks=list, scores=dict)
        if verify and file_sha256(folder / FILE) != record["sha256"].get(FILE):
            damaged.append(folder / FILE)
        scores = ", ".join(
            f"{key} {100 * value:.1f}"
            for figures in record["scores"].values()
            for key, value in (figures.items() if isinstance(figures, dict) else ())
            if isinstance(value, int | float)
        )
        base = record["backbone"]
        standing = ", ".join(alias for alias, release in aliases.items() if release == name)
        tasks = ", ".join(map(str, record["tasks"]))
        releases.add_row(
            name,
            standing,
            f"{base.get('name')}@{base.get('version')}",
            tasks,
            scores,
            str(record.get("latency_ms", "")),
        )
    console = Console()
    console.print(backbones)
    console.print(releases)
    if damaged:
        raise UserError(f"{', '.join(map(str, damaged))}: not what was released (sha256 differs); fetch it again")


def promote(
    release: str,
    to: str = "champion",
    store: Path = Path("releases"),
    data: Path | None = None,
    version: str | None = None,
    split: str | None = None,
    gate: Path | None = None,
    why: str = "",
) -> None:
    """Make a release the candidate, or the champion: only if it passes the gate against the champion there is.

    Args:
        release: its name.
        to: "candidate" or "champion".
        store: folder of the store.
        data: root folder of the dataset that the two are compared on; the releases' own by default.
        version: name of its folder of tables.
        split: the split that they are compared on; the release's own by default.
        gate: the gate's YAML file; configs/release/gate.yaml by default.
        why: in a sentence, for the history.

    Raises:
        RefusedError: the gate stops it.
    """
    from avjepa.release.aliases import ALIASES, aliases_of, point
    from avjepa.release.store import Store

    place = Store(store)
    place.release(release)
    if to not in ALIASES:
        raise UserError(f"--to {to}: there are {' and '.join(ALIASES)}")
    champion = aliases_of(place).get("champion")
    if to == "champion" and champion is not None and champion != release:
        from avjepa.commands.release_compare import recorded
        from avjepa.evaluate.comparing.pages import notes, verdict

        own = place.folder / "comparisons" / "promotions" / f"{champion}_{release}"
        record, _ = recorded(champion, release, place.folder, split, data, version, gate=gate, out=own, pages=False)
        print("\n".join((verdict(record), *notes(record))))
        if not record["passed"]:
            raise RefusedError
    before = point(place, to, release, why)
    print(f"{to}: {release}" + (f", before {before}" if before else ""))


def roll_back(store: Path = Path("releases"), of: str = "champion", why: str = "") -> None:
    """Make the champion what it was before.

    Args:
        store: folder of the store.
        of: "champion" or "candidate".
        why: in a sentence, for the history.
    """
    from avjepa.release.aliases import ALIASES
    from avjepa.release.aliases import roll_back as rolled_back
    from avjepa.release.store import Store

    if of not in ALIASES:
        raise UserError(f"--of {of}: there are {' and '.join(ALIASES)}")
    before, after = rolled_back(Store(store), of, why)
    print(f"{of}: {after}, before {before}")


def run_list(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("release list", list_, arguments)


def run_promote(arguments: Sequence[str]) -> None:
    """Parse and run; the release may stand first, without its option."""
    given = list(arguments)
    if given and not given[0].startswith("-"):
        given = ["--release", *given]
    run_function("release promote", promote, given)


def run_roll_back(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("release roll-back", roll_back, arguments)
