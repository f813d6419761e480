"""Which scenes belong to which split."""

import importlib.util
from collections.abc import Collection
from pathlib import Path

from avjepa.data.nuscenes.truckscenes import is_truckscenes, truckscenes_splits
from avjepa.data.splits import custom_splits
from avjepa.errors import UserError

NO_DEVKIT = "it wants NumPy below 2, which newer Pythons have not"
"""Why the devkit may be missing."""
_OFFICIAL = {
    "v1.0-trainval": ("train", "val", "train_detect", "train_track"),
    "v1.0-mini": ("mini_train", "mini_val"),
    "v1.0-test": ("test",),
}


def official_splits(folder: Path) -> dict[str, list[str]]:
    """The splits that the devkit defines for a version of nuScenes; none for any other version.

    Raises:
        UserError: it takes the devkit to know them, and it is not installed.
    """
    version = folder.name
    if version not in _OFFICIAL or is_truckscenes(folder):
        return {}
    if importlib.util.find_spec("nuscenes") is None:
        if custom_splits(folder):
            return {}
        raise UserError(
            f"{version}: nuscenes-devkit, which names its splits, is not installed ({NO_DEVKIT}); use Python 3.11 or "
            f"3.12, or list the scenes in {version}/splits.json"
        )
    # Imported here because the devkit's package loads matplotlib and OpenCV, which takes seconds.
    from nuscenes.utils.splits import create_splits_scenes

    splits = create_splits_scenes()
    return {name: list(splits[name]) for name in _OFFICIAL[version]}


def splits_of(folder: Path, official: dict[str, list[str]], scenes: Collection[str]) -> dict[str, list[str]]:
    """The splits of a version: those of its own ``splits.json``; without the file those of the devkit.

    Args:
        folder: of the tables.
        official: what ``official_splits`` said of them.
        scenes: that the tables hold.
    """
    if own := custom_splits(folder):
        return own
    if is_truckscenes(folder):  # asked again each time: its devkit may be installed later than the tables are indexed
        official = truckscenes_splits(folder.name)
    return {split: [name for name in names if name in scenes] for split, names in official.items()}


def shared_scenes(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    """Scenes that are trained on and scored, by the two splits "a and b" that share them.

    Splits for training have "train" in their name, those for scoring "val" or "test"; "trainval" is neither.
    """
    scored = {split for split in splits if "val" in split or "test" in split}
    trained = {split for split in splits if "train" in split}
    pairs = {
        f"{a} and {b}": sorted(set(splits[a]) & set(splits[b]))
        for a in sorted(trained - scored)
        for b in sorted(scored - trained)
    }
    return {pair: scenes for pair, scenes in pairs.items() if scenes}
