"""What the devkit needs of a dataset to run its own evaluation."""

import importlib.util

import numpy as np

from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.splits import NO_DEVKIT
from avjepa.data.taxonomy import Taxonomy, load_taxonomy

_TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
    "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
_REFERENCE = "LIDAR_TOP"


def unfit_for_devkit(index: DatasetIndex, taxonomy: Taxonomy, split: str) -> str:
    """Why the devkit cannot score a split; empty if nothing is known against it."""
    if importlib.util.find_spec("nuscenes") is None:
        return f"nuscenes-devkit is not installed: {NO_DEVKIT}"
    if taxonomy != load_taxonomy("nuscenes"):
        return "the devkit knows nuScenes' classes alone"
    if missing := [name for name in _TABLES if not (index.folder / f"{name}.json").is_file()]:
        return f"the devkit needs {missing[0]}.json, which is not there"
    unreferenced = _samples_without(index, _REFERENCE, split)
    if unreferenced:
        return f"the devkit needs {_REFERENCE} for every keyframe; it is missing from {unreferenced}"
    return ""


def _samples_without(index: DatasetIndex, channel: str, split: str) -> int:
    """How many keyframes of a split a sensor did not record."""
    scenes = index.scenes_of(split)
    recorded = [index.records(channel, index.scene_names.index(name)) for name in scenes]
    records = np.concatenate([np.asarray(group, np.int64) for group in recorded])
    keyed = index.record_sample[records[index.record_is_key[records]]]
    return int((~np.isin(index.samples(scenes), keyed)).sum())
