"""Opening a data set, whatever layout it has on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from avjepa.data.argoverse2.dataset import CHANNELS as ARGOVERSE2_CHANNELS
from avjepa.data.argoverse2.dataset import Argoverse2Dataset
from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.nuscenes.dataset import NuScenesDataset
from avjepa.data.nuscenes.truckscenes import CHANNELS as TRUCKSCENES_CHANNELS
from avjepa.data.nuscenes.truckscenes import is_truckscenes
from avjepa.data.protocol import DrivingDataset
from avjepa.data.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True)
class Layout:
    """A way in which data sets lie on disk.

    Args:
        recognises: whether a version of a data root has this layout; looks at names of files alone.
        open: the data set; raises ``UserError`` where something is missing or broken.
        channels: which of its channels are which sensor's, unless the user says so.
        taxonomy: its classes, unless the user names others: as ``load_taxonomy`` takes it.
    """

    recognises: Callable[[Path, str], bool]
    open: Callable[[Path, str, SensorChannels, Taxonomy], DrivingDataset]
    channels: SensorChannels = NUSCENES_CHANNELS
    taxonomy: str = "nuscenes"


LAYOUTS = {
    "truckscenes": Layout(is_truckscenes, NuScenesDataset.open, TRUCKSCENES_CHANNELS, "truckscenes"),
    "nuscenes": Layout(NuScenesDataset.recognises, NuScenesDataset.open),
    "argoverse2": Layout(Argoverse2Dataset.recognises, Argoverse2Dataset.open, ARGOVERSE2_CHANNELS, "argoverse2"),
}
"""Layouts by name, in the order in which they are tried."""


def register_layout(name: str, layout: Layout) -> None:
    """Make a layout known: it is tried before all others.

    A module that does this when it is imported, and that is named with ``--trust MODULE``, is an adapter to a data set
    of one's own.
    """
    others = {known: one for known, one in LAYOUTS.items() if known != name}
    LAYOUTS.clear()
    LAYOUTS.update({name: layout} | others)


def layout_of(dataroot: str | Path, version: str) -> str:
    """Name of the layout that a data set has; that of nuScenes, whose errors say what is missing, for none."""
    fitting = (name for name, layout in LAYOUTS.items() if layout.recognises(Path(dataroot), version))
    return next(fitting, "nuscenes")


def layout_at(dataroot: str | Path, version: str) -> Layout:
    """The layout that a data set has: see ``layout_of``."""
    return LAYOUTS[layout_of(dataroot, version)]


def open_dataset(
    dataroot: str | Path, version: str, channels: SensorChannels | None = None, taxonomy: Taxonomy | None = None
) -> DrivingDataset:
    """Open a data set.

    Args:
        dataroot: its root.
        version: which part of it.
        channels: which channels are which sensor's; ``None`` for those of its layout.
        taxonomy: the classes; ``None`` for those of its layout.

    Raises:
        UserError: there is no such data set, or it lacks something; one line says what.
    """
    layout = layout_at(dataroot, version)
    return layout.open(Path(dataroot), version, channels or layout.channels, taxonomy or load_taxonomy(layout.taxonomy))
