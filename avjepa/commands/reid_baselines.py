"""``avjepa reid baselines`` and ``avjepa reid summary``: all methods side by side, and their table over seeds."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from avjepa.errors import UserError
from avjepa.ranges import LARGEST_SEED, require_number

if TYPE_CHECKING:
    from avjepa.data.protocol import DrivingDataset
    from avjepa.evaluate.reidentification.comparison import FitScenes


def baselines(
    data: Path,
    out: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str | None = None,
    split: str = "val",
    k: int = 5,
    fit_split: str | None = None,
    embeddings: Path | None = None,
    fit_embeddings: Path | None = None,
    seed: int = 0,
    csv: Path | None = None,
    backbone_name: str = "jepa",
    labels: float = 100.0,
) -> None:
    """Score how well motion, size, chance and embeddings tell which object came back, by the length of the gap.

    Writes scores.json with slices and intervals, and reid.png into OUT, and rows into a CSV table (rank1 in per cent,
    mAP, auroc and fpr95 from 0 to 1), where they take the place of those of the same sensors, method, boxes, seed,
    backbone and labels.

    Args:
        data: the dataset's root folder.
        out: folder for the results.
        version: name of its folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default.
        split: the split to score.
        k: LiDAR points that make an object visible.
        fit_split: the split that the methods' few parameters are fitted on; "train" by default, where there is one.
        embeddings: an embeddings.json of the split, to score it too.
        fit_embeddings: an embeddings.json of the split that parameters are fitted on.
        seed: of the random embedding, the balanced pairs and the intervals; also stands in the table.
        csv: the table; reid.csv in OUT by default.
        backbone_name: what the table calls the backbone that the embeddings are from.
        labels: share of the labelled scenes that the network was taught by, in per cent, for the table.
    """
    from rich.console import Console

    from avjepa.commands.opening import opened
    from avjepa.commands.splits import scenes_of
    from avjepa.evaluate.reidentification.comparison import NO_EVENTS, compared
    from avjepa.evaluate.reidentification.result_file import read_embeddings
    from avjepa.evaluate.reidentification.results import (
        PLOT,
        SCORES,
        as_json,
        comparison_table,
        said_below,
        write_plot,
    )
    from avjepa.evaluate.reidentification.scoring import WIDE
    from avjepa.evaluate.reidentification.table import Training, add_rows, is_name, read_table, rows_of
    from avjepa.files import write_json

    require_number("--k", k, at_least=1)
    require_number("--seed", seed, at_least=0, at_most=LARGEST_SEED)
    require_number("--labels", labels, above=0, at_most=100)
    if not is_name(backbone_name):
        raise UserError(f"--backbone_name {backbone_name!r:.80}: is no short name of printable characters; choose one")
    table = csv or out / "reid.csv"
    if os.path.lexists(table):
        read_table(table)  # before minutes are spent on what cannot be added to it
    source = opened(data, version, channels, taxonomy)
    if not source.has_labels():
        raise UserError(f"{source.name}: has no annotations, which say what was hidden; choose an annotated dataset")
    scenes = scenes_of(source, split, "--split")
    if fit_embeddings is not None and embeddings is None:
        raise UserError("--fit_embeddings: needs embeddings of the split that is scored; add --embeddings FILE")
    fit = fit_scenes(source, split, fit_split, fit_embeddings)
    file = None if embeddings is None else read_embeddings(embeddings, source.taxonomy)
    comparison = compared(source, scenes, minimum_points=k, seed=seed, file=file, fit=fit)
    if not comparison.events:
        raise UserError(f"--split {split}: {NO_EVENTS}; choose a smaller k, or another split")
    about = {
        "version": version, "split": split, "minimum_points": k, "seed": seed,
        "label_fingerprint": source.label_fingerprint(),
    }  # fmt: skip
    write_json(out / SCORES, about | as_json(comparison))
    write_plot(out / PLOT, comparison)
    add_rows(table, rows_of(comparison, seed, Training(backbone_name, labels)))
    console = Console()
    wide = Console(file=console.file, width=max(console.width, WIDE))
    wide.print(comparison_table(f"{version} {split}, k = {k}", comparison))
    for line in said_below(comparison):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(table)


def fit_scenes(
    source: "DrivingDataset", split: str, fit_split: str | None, fit_embeddings: Path | None
) -> "FitScenes | None":
    """What the parameters of the methods are fitted on; arguments are options of the same names.

    Raises:
        UserError: a split is unknown or shares scenes with the one that is scored, or a file is none of its split.
    """
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


def summary(csv: Path) -> None:
    """Write what the table of re-identification says over seeds: tables in Markdown and figures, beside it.

    TABLE.md, and TABLE_annotated.png and TABLE_detected.png with rank-1 against the gap.

    Args:
        csv: the table, as reid baselines writes it.
    """
    from avjepa.evaluate.reidentification.summary import write_summary
    from avjepa.evaluate.reidentification.table import read_table

    rows = read_table(csv)
    if not rows:
        raise UserError(f"{csv}: holds no row; add some with avjepa reid baselines --csv")
    print(write_summary(csv, rows))
