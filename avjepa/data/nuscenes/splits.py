"""Which scenes belong to which split."""

from pathlib import Path

from avjepa.errors import UserError
from avjepa.files import read_json

_OFFICIAL = {
    "v1.0-trainval": ("train", "val", "train_detect", "train_track"),
    "v1.0-mini": ("mini_train", "mini_val"),
    "v1.0-test": ("test",),
}


def official_splits(version: str) -> dict[str, list[str]]:
    """The splits that the devkit defines for a version of nuScenes; none for any other version."""
    if version not in _OFFICIAL:
        return {}
    # Imported here because the devkit's package loads matplotlib and OpenCV, which takes seconds.
    from nuscenes.utils.splits import create_splits_scenes

    splits = create_splits_scenes()
    return {name: list(splits[name]) for name in _OFFICIAL[version]}


def custom_splits(folder: Path) -> dict[str, list[str]]:
    """The splits that ``<folder>/splits.json`` defines (the devkit's format since 1.2); none without the file.

    Raises:
        UserError: the file is no JSON object of lists of scene names.
    """
    path = folder / "splits.json"
    if not path.is_file():
        return {}
    try:
        splits = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder.name}/splits.json: cannot be read ({error}); restore it") from None
    lists = splits.values() if isinstance(splits, dict) else [None]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
        raise UserError(f"{folder.name}/splits.json: expected an object of lists of scene names; mend it")
    return {str(name): list(scenes) for name, scenes in splits.items()}


def splits_of(folder: Path, official: dict[str, list[str]]) -> dict[str, list[str]]:
    """The splits of a version: those of its own ``splits.json``; without the file those of the devkit."""
    return custom_splits(folder) or official


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
