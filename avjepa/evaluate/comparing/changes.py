"""What changed from one release to the next, and how sure that is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array
from avjepa.evaluate.comparing.measure import Item, Measure, resampled

_SHOWN = 0.95
"""Confidence of the interval that is shown beside a change."""


@dataclass(frozen=True)
class Change:
    """A figure of two releases on the same scenes.

    Attributes:
        item: what it is.
        old: of the one release.
        new: of the other.
        draws: the change over scenes that are drawn anew; NaN where a draw holds nothing to score.
    """

    item: Item
    old: float
    new: float
    draws: Float64[Array, "draw"]

    @property
    def value(self) -> float:
        """By how much the new release is better."""
        return self.new - self.old

    @property
    def interval(self) -> tuple[float, float]:
        """Where the middle 95 % of the draws lie."""
        outside = (1 - _SHOWN) / 2
        low, high = np.nanquantile(self.draws, [outside, 1 - outside])
        return float(low), float(high)

    @property
    def standard_error(self) -> float:
        """Of the change, over the choice of scenes; corrected for how few they are."""
        scenes = max(self.item.scenes, 2)
        return float(np.nanstd(self.draws) * np.sqrt(scenes / (scenes - 1)))


def changes(old: Measure, new: Measure, draws: int, seed: int) -> list[Change]:
    """The change of every figure: a paired bootstrap over scenes.

    Args:
        old: of the one release.
        new: of the other on the same scenes.
        draws: how many times scenes are drawn anew.
        seed: of the draws.
    """
    labels = [[item.label for item in measure.items] for measure in (old, new)]
    assert labels[0] == labels[1], "two releases on the same scenes have the same figures"
    difference = resampled(new, draws, seed) - resampled(old, draws, seed)
    return [
        Change(item, float(before), float(after), difference[:, column])
        for column, (item, before, after) in enumerate(zip(new.items, old.values, new.values, strict=True))
    ]
