"""Splits that the user names."""

from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError


def scenes_of(source: DrivingDataset, split: str | None, option: str) -> list[str]:
    """Names of the scenes of a split, of all scenes for ``None``.

    Raises:
        UserError: there is no such split, or it is empty; names the option that gave it.
    """
    try:
        return source.scenes_of(split)
    except UserError as error:
        raise UserError(f"{option}: {error}") from error
