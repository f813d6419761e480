"""Opening a data set, whatever layout it has on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.nuscenes.dataset import NuScenesDataset
from avjepa.data.protocol import DrivingDataset
from avjepa.data.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True)
class Layout:
    """A way in which data sets lie on disk.

    Args:
        recognises: whether a version of a data root has this layout.
        open: the data set; raises ``UserError`` where something is missing or broken.
    """

    recognises: Callable[[Path, str], bool]
    open: Callable[[Path, str, SensorChannels, Taxonomy], DrivingDataset]


LAYOUTS = {"nuscenes": Layout(NuScenesDataset.recognises, NuScenesDataset.open)}
"""Layouts by name, in the order in which they are tried."""


def open_dataset(
    dataroot: str | Path, version: str, channels: SensorChannels | None = None, taxonomy: Taxonomy | None = None
) -> DrivingDataset:
    """Open a data set.

    Args:
        dataroot: its root.
        version: which part of it.
        channels: which channels are which sensor's; ``None`` for those of nuScenes.
        taxonomy: the classes; ``None`` for those of nuScenes.

    Raises:
        UserError: there is no such data set, or it lacks something; one line says what.
    """
    root = Path(dataroot)
    layout = LAYOUTS[layout_of(root, version)]
    return layout.open(root, version, channels or NUSCENES_CHANNELS, taxonomy or load_taxonomy("nuscenes"))


def layout_of(dataroot: Path, version: str) -> str:
    """Name of the layout that a data set has; that of nuScenes, whose errors say what is missing, for none."""
    fitting = (name for name, layout in LAYOUTS.items() if layout.recognises(dataroot, version))
    return next(fitting, "nuscenes")
