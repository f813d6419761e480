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
from avjepa.evaluate.motion import MotionModel
from avjepa.evaluate.reidentification.motion import motion_log_likelihood
from avjepa.evaluate.reidentification.pairs import Pairs

_GATE = math.sqrt(-2 * math.log(0.05))
"""Radius, in standard deviations, that holds 95 % of a normal distribution on the ground."""
_AT_ONCE = 1 << 16
RANDOM_DIMENSION = 64

RANDOM = "random embedding"
VELOCITY = "constant velocity"
GATED = "gated constant velocity"
KALMAN = "Kalman filter"
SIZE = "size"
MOTION_SIZE = "motion + size"
EMBEDDING = "embedding"
MOTION_EMBEDDING = "motion + embedding"
WITH_EMBEDDINGS = (EMBEDDING, MOTION_EMBEDDING)


@dataclass(frozen=True)
class Parameters:
    """What the methods need to know of how objects move and look; the defaults stand where nothing could be fitted.

    Attributes:
        miss_at_once: standard deviation (m, each axis) of the miss of a constant velocity after no time, for its gate.
        miss_per_second: by how much (m) it grows in a second: the variance is that of a sum of the two.
        motion: of the Kalman filter, which is the motion of all methods that add something to it.
        size_sigma: standard deviation of the logarithm of a side's ratio.
        temperature: of the cosine of embeddings: divided by it, it is a log-likelihood.
        thresholds: by method, the score from which two sightings are called one object; none where nothing was fitted.
    """

    miss_at_once: float = 0.5
    miss_per_second: float = 1.0
    motion: MotionModel = field(default_factory=MotionModel)
    size_sigma: float = 0.05
    temperature: float = 0.1
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def gate(self, gap: Float64[Array, "pair"]) -> Float64[Array, "pair"]:
        """Radius (m) within which 95 % of objects are that kept their velocity over a gap (s), more or less."""
        return np.asarray(_GATE * np.hypot(self.miss_at_once, self.miss_per_second * gap))


Embeddings = Float32[Array, "sighting dimension"]
"""Unit vectors of sightings, NaN for one without an embedding."""


def scores(
    pairs: Pairs, parameters: Parameters, seed: int, embeddings: Embeddings | None = None
) -> dict[str, Float64[Array, "pair"]]:
    """The scores of pairs by method; those of ``WITH_EMBEDDINGS`` come last, if there are any.

    Args:
        pairs: what is compared.
        parameters: fitted on other scenes.
        seed: of the random embedding.
        embeddings: of all sightings.
    """
    miss = pairs.miss()
    motion = motion_log_likelihood(parameters.motion, pairs)
    size = -((pairs.size_ratio() / parameters.size_sigma) ** 2).sum(1) / 2
    result = {
        RANDOM: cosines(pairs, random_embeddings(len(pairs.sightings), seed)),
        VELOCITY: -miss,
        GATED: np.where(miss <= parameters.gate(pairs.gap), -miss, -np.inf),
        KALMAN: motion,
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
