"""``avjepa release freeze``."""

from collections.abc import Sequence
from pathlib import Path

from avjepa.commands.parsing import run_function


def freeze(
    run: Path,
    name: str,
    store: Path = Path("releases"),
    version: str | None = None,
    licence: str = "not stated",
    why: str = "",
    half: bool = False,
) -> None:
    """Put the backbone of a finished training into the store: immutable, under a version, with a model card.

    A version is X.Y.Z: interface (grid, range, channels, sensors, classes), training data or configuration, tuning.

    Args:
        run: folder of an avjepa pretrain, or of an avjepa finetune whose backbone learned.
        name: of the backbone, as in lidar-base.
        store: folder of the store.
        version: X.Y.Z; by default the least one that says what changed since the newest of that name.
        licence: on what terms the weights may be used, for the model card.
        why: what this version is for, in a sentence, for the model card.
        half: keep matrices and kernels as float16, in half the space.
    """
    from avjepa.commands.frozen_data import picture_of_maps
    from avjepa.release.freezing import freeze as frozen
    from avjepa.release.store import Store

    folder, said = frozen(run, Store(store), name, version, licence, why, half, picture_of_maps)
    print(f"{folder}: {name} {said}")


def run_freeze(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("release freeze", freeze, arguments)
