"""Which scenes belong to which split."""

from pathlib import Path

import numpy as np

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


def chosen_scenes(available: list[str], scenes: int | list[str] | None, seed: int) -> list[str]:
    """A subset of a split's scenes, sorted by name.

    Args:
        available: the scenes of the split.
        scenes: ``None`` for all, names, or a number: that many of the scenes in an order shuffled by ``seed``, so that
            a smaller subset lies within every larger one of the same seed.
        seed: of the shuffled order.

    Raises:
        UserError: a name is not in the split, or the split has fewer scenes.
    """
    if scenes is None:
        return sorted(available)
    if isinstance(scenes, int):
        if not 1 <= scenes <= len(available):
            raise UserError(
                f"scenes: {scenes} were asked for, the split has {len(available)}; choose 1-{len(available)}"
            )
        order = np.random.default_rng((seed, 0x5CE4E5)).permutation(len(available))
        names = sorted(available)
        return sorted(names[position] for position in order[:scenes])
    unknown = sorted(set(scenes) - set(available))
    if unknown:
        raise UserError(f"scenes: {unknown[0]!r} is not in the split; choose among {_some(available)}")
    return sorted(set(scenes))


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (f" … ({len(names)} in all)" if len(names) > 5 else "")
