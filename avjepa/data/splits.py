"""Splits that a user wrote down."""

from pathlib import Path

from avjepa.errors import UserError
from avjepa.files import read_json


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
