"""Which scenes of a split are used."""

import numpy as np

from avjepa.errors import UserError


def chosen_scenes(available: list[str], scenes: int | list[str] | None, seed: int, least: int = 1) -> list[str]:
    """A subset of a split's scenes, sorted by name.

    Args:
        available: the scenes of the split.
        scenes: ``None`` for all, names, or a number: that many of the scenes in an order shuffled by ``seed``, so that
            a smaller subset lies within every larger one of the same seed.
        seed: of the shuffled order.
        least: number that may be asked for.

    Raises:
        UserError: a name is not in the split, or the split has fewer scenes.
    """
    if scenes is None:
        return sorted(available)
    if isinstance(scenes, int):
        if not least <= scenes <= len(available):
            raise UserError(
                f"scenes: {scenes} were asked for, the split has {len(available)}; choose {least}-{len(available)}"
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
