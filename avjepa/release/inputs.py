"""What a frozen backbone is shown, as options of the data that heads learn from; and where its maps are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avjepa.bundle.construction import require_trusted
from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError
from avjepa.release.store import Store, read_record

INPUTS = ("sensors", "lidar_sweeps", "radar_sweeps", "radar_filter", "image_size", "channels")
"""Keys of a training's ``data`` that say what the backbone is shown; heads are trained on nothing else."""


def inputs_of(backbone: Path) -> dict[str, Any]:
    """Options of ``data`` with which the backbone in a folder of the store was trained; without those left open.

    Raises:
        UserError: the folder does not say.
    """
    record = read_record(backbone, inputs=dict, name=str, version=str, sha256=str)
    inputs: Mapping[str, Any] = record["inputs"]
    sensors = inputs.get("sensors")
    if not isinstance(sensors, list) or not sensors or not all(isinstance(name, str) for name in sensors):
        raise UserError(f"{backbone}: release.json: inputs: sensors must name some of lidar, camera, radar")
    given = {name: value for name, value in inputs.items() if name in INPUTS and value is not None}
    require_trusted(given, f"{backbone}: release.json")  # whoever hands over a store hands over no code with it
    return given


def features_folder(store: Store, backbone: Path, source: DrivingDataset) -> Path:
    """Where a store keeps the maps that a backbone makes of a data set."""
    record = read_record(backbone, name=str, version=str)
    return store.folder / "features" / f"{record['name']}-{record['version']}-{source.fingerprint()[:12]}"
