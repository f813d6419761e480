"""Opening the data set that a command's options name."""

from pathlib import Path

from avjepa.data.channels import load_channels
from avjepa.data.datasets import open_dataset
from avjepa.data.protocol import DrivingDataset
from avjepa.data.taxonomy import load_taxonomy


def opened(data: Path, version: str, channels: Path | None, taxonomy: str | None) -> DrivingDataset:
    """The data set below ``--data``.

    Args:
        data: its root folder.
        version: which part of it.
        channels: a file that says which channels are which sensor's; ``None`` for what its layout says.
        taxonomy: the classes, by name or by file; ``None`` for those of its layout.

    Raises:
        UserError: there is no such data set, or one of the files is wrong.
    """
    return open_dataset(
        data,
        version,
        None if channels is None else load_channels(channels),
        None if taxonomy is None else load_taxonomy(taxonomy),
    )
