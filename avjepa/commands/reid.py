"""``avjepa reid``: objects that were hidden and come back."""

from collections.abc import Callable, Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.commands.reid_baselines import baselines, summary
from avjepa.commands.reid_gallery import gallery
from avjepa.commands.subcommands import chosen
from avjepa.commands.tracking import track
from avjepa.ranges import require_number


def mine(
    data: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str | None = None,
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
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default.
        split: the split to search; all scenes by default.
        k: LiDAR points that make an object visible.
        out: a JSON file for the list: every event with its gap, and every object that first appears.
    """
    from rich.console import Console

    from avjepa.commands.opening import opened
    from avjepa.commands.splits import scenes_of
    from avjepa.evaluate.reidentification.events import mined
    from avjepa.evaluate.reidentification.listing import events_table, listed
    from avjepa.files import write_json

    require_number("--k", k, at_least=1)
    source = opened(data, version, channels, taxonomy)
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


SUBCOMMANDS: dict[str, Callable[..., None]] = {
    "mine": mine,
    "baselines": baselines,
    "summary": summary,
    "gallery": gallery,
    "track": track,
}


def run(arguments: Sequence[str]) -> None:
    """Parse and run a subcommand.

    Raises:
        UserError: there is no such subcommand, or an error of its own.
    """
    summaries = {name: (function.__doc__ or "").splitlines()[0] for name, function in SUBCOMMANDS.items()}
    name = chosen("reid", summaries, arguments)
    if name is not None:
        run_function(f"reid {name}", SUBCOMMANDS[name], arguments[1:])
