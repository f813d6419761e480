"""Ways to tell whether a later sighting is of an object that was seen before: motion, size, embeddings.

Each gives pairs of sightings a score, higher for what is more likely one object; below a threshold the later one is
new. ``-inf`` says that it is another object, NaN that nothing can be told.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.pairs import Pairs

_GATE = math.sqrt(-2 * math.log(0.05))
"""Radius, in standard deviations, that holds 95 % of a normal distribution on the ground."""
_AT_ONCE = 1 << 16
RANDOM_DIMENSION = 64

RANDOM = "random embedding"
VELOCITY = "constant velocity"
GATED = "gated constant velocity"
SIZE = "size"
MOTION_SIZE = "motion + size"
EMBEDDING = "embedding"
MOTION_EMBEDDING = "motion + embedding"
WITHOUT_NETWORK = (RANDOM, VELOCITY, GATED, SIZE, MOTION_SIZE)
MOTION_ALONE = (VELOCITY, GATED)


@dataclass(frozen=True)
class Parameters:
    """What the methods need to know of how objects move and look; the defaults stand where nothing could be fitted.

    Attributes:
        position_sigma: standard deviation (m, each axis) of the miss of a constant velocity after no time.
        speed_sigma: by how much (m/s) it grows with the gap: the variance is that of a sum of the two.
        size_sigma: standard deviation of the logarithm of a side's ratio.
        temperature: of the cosine of embeddings: divided by it, it is a log-likelihood.
        thresholds: by method, the score from which two sightings are called one object; none where nothing was fitted.
    """

    position_sigma: float = 0.5
    speed_sigma: float = 1.0
    size_sigma: float = 0.05
    temperature: float = 0.1
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def sigma(self, gap: Float64[Array, "pair"]) -> Float64[Array, "pair"]:
        """Standard deviation (m, each axis) of a constant velocity's miss after a gap (s)."""
        return np.asarray(np.hypot(self.position_sigma, self.speed_sigma * gap))


Embeddings = Float32[Array, "sighting dimension"]
"""Unit vectors of sightings, NaN for one without an embedding."""


def scores(
    pairs: Pairs, parameters: Parameters, seed: int, embeddings: Embeddings | None = None
) -> dict[str, Float64[Array, "pair"]]:
    """The scores of pairs by method: all of ``WITHOUT_NETWORK``, and those with embeddings if there are any.

    Args:
        pairs: what is compared.
        parameters: fitted on other scenes.
        seed: of the random embedding.
        embeddings: of all sightings.
    """
    miss, gap = pairs.miss(), pairs.gap
    sigma = parameters.sigma(gap)
    motion = -((miss / sigma) ** 2) / 2 - 2 * np.log(sigma)
    size = -((pairs.size_ratio() / parameters.size_sigma) ** 2).sum(1) / 2
    result = {
        RANDOM: cosines(pairs, random_embeddings(len(pairs.sightings), seed)),
        VELOCITY: -miss,
        GATED: np.where(miss <= _GATE * sigma, -miss, -np.inf),
        SIZE: size,
        MOTION_SIZE: motion + size,
    }
    if embeddings is not None:
        alike = cosines(pairs, embeddings)
        result[EMBEDDING] = alike
        result[MOTION_EMBEDDING] = motion + np.nan_to_num(alike) / parameters.temperature
    return result


def random_embeddings(count: int, seed: int) -> Embeddings:
    """Directions that are drawn independently of everything."""
    drawn = np.random.default_rng(seed).standard_normal((count, RANDOM_DIMENSION), np.float32)
    result: Array = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return result


def cosines(pairs: Pairs, embeddings: Embeddings) -> Float64[Array, "pair"]:
    """Cosine of the angle between the embeddings of each pair; NaN where one of them has none."""
    result = np.empty(len(pairs))
    for start in range(0, len(pairs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        result[part] = np.einsum("pd,pd->p", embeddings[pairs.earlier[part]], embeddings[pairs.later[part]])
    return result
