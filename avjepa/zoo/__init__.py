"""Backbones that come with the package, pre-trained without labels: ``zoo:NAME`` in the place of a folder."""

from pathlib import Path

from avjepa.errors import UserError

PREFIX = "zoo:"
FOLDER = Path(__file__).parent / "bundles"
"""One folder a bundle, as ``avjepa release freeze`` writes it."""


def names() -> list[str]:
    """Of the bundles, in alphabetical order."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def located(directory: str | Path) -> Path:
    """The folder of a bundle; ``zoo:NAME`` stands for one that comes with the package.

    Raises:
        UserError: there is none of that name.
    """
    text = str(directory)
    if not text.startswith(PREFIX):
        return Path(directory)
    name = text.removeprefix(PREFIX)
    if name not in names():
        raise UserError(
            f"{text}: the zoo has no such bundle; there is {', '.join(PREFIX + known for known in names())}"
        )
    return FOLDER / name
