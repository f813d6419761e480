"""What releases are compared by: figures that are known for every choice of scenes."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from scipy import stats

from avjepa.data.arrays import Array
from avjepa.progress import progress_bar

_BATCH = 250
"""Draws at a time."""


@dataclass(frozen=True)
class Item:
    """A figure of a release, a fraction that is better the higher it is.

    Attributes:
        group: ``mAP``, ``class``, the property of a slice, or the figure of another task.
        name: of the class or the part; empty for a headline.
        objects: annotated boxes, cells or events that it stands on.
        scenes: in which they lie.
    """

    group: str
    name: str
    objects: int
    scenes: int

    @property
    def label(self) -> str:
        """In words."""
        return f"{self.group} {self.name}".strip()


class Measure(ABC):
    """Figures of one release on some scenes.

    Attributes:
        items: what the figures are, the same for all releases that are measured on the same scenes.
        values: each figure on all scenes.
        scenes: number of them.
    """

    items: tuple[Item, ...]
    values: Float64[Array, "item"]
    scenes: int

    @abstractmethod
    def weighted(self, weights: Float32[Array, "draw scene"]) -> Float64[Array, "draw item"]:
        """Each figure where every scene counts so many times; NaN where nothing is left to score."""


def resampled(measure: Measure, draws: int, seed: int) -> Float64[Array, "draw item"]:
    """The figures over scenes that are drawn anew with replacement (``scipy.stats.bootstrap``).

    A scene stays together with all its keyframes, whose objects are the same ones. Releases that are resampled with the
    same seed see the same scenes in every draw, so that their differences are those of a paired bootstrap.
    """

    def statistic(drawn: Array, axis: int = -1) -> Array:
        rows = drawn.reshape(-1, measure.scenes).astype(np.int64)
        cells = np.arange(len(rows))[:, None] * measure.scenes + rows
        weights = np.bincount(cells.ravel(), minlength=rows.size).reshape(rows.shape)
        advance(len(rows))
        return measure.weighted(weights.astype(np.float32)).T

    with warnings.catch_warnings(), progress_bar("drawing scenes anew", draws) as advance:
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # a figure that is the same in all draws
        result = stats.bootstrap(
            (np.arange(measure.scenes),), statistic, n_resamples=draws, batch=_BATCH, vectorized=True, axis=-1,
            method="percentile", random_state=np.random.default_rng(seed),
        )  # fmt: skip
    ones = measure.weighted(np.ones((1, measure.scenes), np.float32))
    distribution: Array = result.bootstrap_distribution.T
    return distribution - ones + measure.values  # without the little that the cuts of a curve leave out
