"""``avjepa reid``: objects that were hidden and come back."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avjepa.commands.parsing import run_function
from avjepa.commands.tracking import track
from avjepa.errors import UserError
from avjepa.ranges import require_number

if TYPE_CHECKING:
    from avjepa.data.protocol import DrivingDataset
    from avjepa.evaluate.reidentification.comparison import FitScenes


def mine(
    data: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str = "nuscenes",
    split: str | None = None,
    k: int = 5,
    out: Path | None = None,
) -> None:
    """List and count the events in which an object is seen, hidden at one keyframe or more, and seen again.

    Seen is a box with K LiDAR points or more whose level of visibility is not the lowest; hidden one without a point or
    at the lowest level, or an object that is not annotated. Reads the tables alone, no sensor file.

    Args:
        data: the dataset's root folder.
        version: name of its folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of nuScenes by default.
        taxonomy: the classes: nuscenes, or a YAML file of its form.
        split: the split to search; all scenes by default.
        k: LiDAR points that make an object visible.
        out: a JSON file for the list: every event with its gap, and every object that first appears.
    """
    from rich.console import Console

    from avjepa.commands.splits import scenes_of
    from avjepa.data.channels import load_channels
    from avjepa.data.datasets import open_dataset
    from avjepa.data.taxonomy import load_taxonomy
    from avjepa.evaluate.reidentification.events import mined
    from avjepa.evaluate.reidentification.listing import events_table, listed
    from avjepa.files import write_json

    require_number("--k", k, at_least=1)
    source = open_dataset(data, version, load_channels(channels), load_taxonomy(taxonomy))
    queries = mined(source, scenes_of(source, split, "--split"), k)
    if out is not None:
        about = {
            "version": version,
            "split": split,
            "minimum_points": k,
            "label_fingerprint": source.label_fingerprint(),
        }
        write_json(out, about | listed(queries, source))
    Console().print(events_table(f"{version} {split or 'all scenes'}, k = {k}", queries))
    if out is not None:
        print(out)


def baselines(
    data: Path,
    out: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str = "nuscenes",
    split: str = "val",
    k: int = 5,
    fit_split: str | None = None,
    embeddings: Path | None = None,
    fit_embeddings: Path | None = None,
    seed: int = 0,
) -> None:
    """Score how well motion, size, chance and embeddings tell which object came back, by the length of the gap.

    Writes reid.csv (rank1 in per cent, mAP, auroc and fpr95 from 0 to 1), scores.json with slices and intervals, and
    reid.png into OUT.

    Args:
        data: the dataset's root folder.
        out: folder for the results.
        version: name of its folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of nuScenes by default.
        taxonomy: the classes: nuscenes, or a YAML file of its form.
        split: the split to score.
        k: LiDAR points that make an object visible.
        fit_split: the split that the methods' few parameters are fitted on; "train" by default, where there is one.
        embeddings: an embeddings.json of the split, to score it too.
        fit_embeddings: an embeddings.json of the split that parameters are fitted on.
        seed: of the random embedding, the balanced pairs and the intervals; also stands in the table.
    """
    from rich.console import Console

    from avjepa.commands.splits import scenes_of
    from avjepa.data.channels import load_channels
    from avjepa.data.datasets import open_dataset
    from avjepa.data.taxonomy import load_taxonomy
    from avjepa.evaluate.reidentification.comparison import NO_EVENTS, compared
    from avjepa.evaluate.reidentification.result_file import read_embeddings
    from avjepa.evaluate.reidentification.results import (
        PLOT,
        SCORES,
        TABLE,
        as_json,
        comparison_table,
        rows_of,
        said_below,
        write_plot,
        write_table,
    )  # fmt: skip
    from avjepa.evaluate.reidentification.scoring import WIDE
    from avjepa.files import write_json

    require_number("--k", k, at_least=1)
    require_number("--seed", seed, at_least=0)
    source = open_dataset(data, version, load_channels(channels), load_taxonomy(taxonomy))
    if not source.has_labels():
        raise UserError(f"{source.name}: has no annotations, which say what was hidden; choose an annotated dataset")
    scenes = scenes_of(source, split, "--split")
    if fit_embeddings is not None and embeddings is None:
        raise UserError("--fit_embeddings: needs embeddings of the split that is scored; add --embeddings FILE")
    fit = _fit_scenes(source, split, fit_split, fit_embeddings)
    file = None if embeddings is None else read_embeddings(embeddings, source.taxonomy)
    comparison = compared(source, scenes, minimum_points=k, seed=seed, file=file, fit=fit)
    if not comparison.events:
        raise UserError(f"--split {split}: {NO_EVENTS}; choose a smaller k, or another split")
    about = {
        "version": version, "split": split, "minimum_points": k, "seed": seed,
        "label_fingerprint": source.label_fingerprint(),
    }  # fmt: skip
    write_table(out / TABLE, rows_of(comparison, seed))
    write_json(out / SCORES, about | as_json(comparison))
    write_plot(out / PLOT, comparison)
    console = Console()
    wide = Console(file=console.file, width=max(console.width, WIDE))
    wide.print(comparison_table(f"{version} {split}, k = {k}", comparison))
    for line in said_below(comparison):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(out / TABLE)


def _fit_scenes(
    source: "DrivingDataset", split: str, fit_split: str | None, fit_embeddings: Path | None
) -> "FitScenes | None":
    """What ``baselines`` fits parameters on; arguments are its options."""
    from avjepa.commands.splits import scenes_of
    from avjepa.evaluate.reidentification.comparison import FitScenes, usual_fit_scenes
    from avjepa.evaluate.reidentification.result_file import read_embeddings

    scored = source.scenes_of(split)
    if fit_split is None:
        fit = usual_fit_scenes(source, scored)
    else:
        fit = FitScenes(tuple(scenes_of(source, fit_split, "--fit_split")))
        if both := set(fit.scenes) & set(scored):
            raise UserError(f"--fit_split {fit_split}: shares {min(both)} with --split {split}; fit on other scenes")
    if fit_embeddings is None:
        return fit
    if fit is None:
        raise UserError("--fit_embeddings: there is no split train that they could be of; add --fit_split SPLIT")
    return FitScenes(fit.scenes, read_embeddings(fit_embeddings, source.taxonomy))


SUBCOMMANDS: dict[str, Callable[..., None]] = {"mine": mine, "baselines": baselines, "track": track}


def overview() -> str:
    """The text of ``avjepa reid --help``."""
    lines = ["usage: avjepa reid SUBCOMMAND [OPTIONS]", ""]
    lines += [f"  {name:<12}{(function.__doc__ or '').splitlines()[0]}" for name, function in SUBCOMMANDS.items()]
    return "\n".join([*lines, "", "avjepa reid SUBCOMMAND --help lists the options."])


def run(arguments: Sequence[str]) -> None:
    """Parse and run a subcommand.

    Raises:
        UserError: there is no such subcommand, or an error of its own.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    name = arguments[0]
    if name not in SUBCOMMANDS:
        close = difflib.get_close_matches(name, SUBCOMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(SUBCOMMANDS)}"
        raise UserError(f"reid: unknown subcommand {name!r:.80}; {hint}")
    run_function(f"reid {name}", SUBCOMMANDS[name], arguments[1:])
