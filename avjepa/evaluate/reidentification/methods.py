"""Ways to tell whether a later sighting is of an object that was seen before: motion, time, size, embeddings.

Each gives pairs of sightings a score, higher for what is more likely one object; below a threshold the later one is
new. ``-inf`` says that it is another object, NaN that nothing can be told.
"""

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

import numpy as np
from jaxtyping import Float32, Float64

from avjepa.data.arrays import Array
from avjepa.evaluate.motion import MotionModel
from avjepa.evaluate.pairs import expanded
from avjepa.evaluate.reidentification.motion import motion_log_likelihood
from avjepa.evaluate.reidentification.pairs import Pairs

_GATE = math.sqrt(-2 * math.log(0.05))
"""Radius, in standard deviations, that holds 95 % of a normal distribution on the ground."""
_AT_ONCE = 1 << 14
RANDOM_DIMENSION = 64

RANDOM = "random embedding"
VELOCITY = "constant velocity"
GATED = "gated constant velocity"
KALMAN = "Kalman filter"
SIZE = "size"
MOTION_SIZE = "motion + size"
MOTION_TIME = "motion + time unseen"
EMBEDDING = "embedding"
MOTION_EMBEDDING = "motion + embedding"
MOTION_TIME_EMBEDDING = "motion + time unseen + embedding"
WITH_EMBEDDINGS = (EMBEDDING, MOTION_EMBEDDING, MOTION_TIME_EMBEDDING)


@dataclass(frozen=True)
class Weights:
    """How much each kind of evidence counts in a sum that is the logarithm of how likely an entry of a gallery is.

    Attributes:
        motion: of the Kalman filter's log-likelihood: below 1 where the filter is surer than it should be.
        time: of the logarithm of the time (s) since the entry was seen. What was seen a moment ago is there still, and
            does not come back: an object returns the likelier, the longer it was away.
        embedding: of the cosine; one over its temperature.
    """

    motion: float = 1.0
    time: float = 0.0
    embedding: float = 0.0


@dataclass(frozen=True)
class Parameters:
    """What the methods need to know of how objects move and look; the defaults stand where nothing could be fitted.

    Attributes:
        miss_at_once: standard deviation (m, each axis) of the miss of a constant velocity after no time, for its gate.
        miss_per_second: by how much (m) it grows in a second: the variance is that of a sum of the two.
        motion: of the Kalman filter, which is the motion of all methods that add something to it.
        size_sigma: standard deviation of the logarithm of a side's ratio.
        weights: of the methods that add some of motion, time and embeddings up.
        thresholds: by method, the score from which two sightings are called one object; none where nothing was fitted.
    """

    miss_at_once: float = 0.5
    miss_per_second: float = 1.0
    motion: MotionModel = field(default_factory=MotionModel)
    size_sigma: float = 0.05
    weights: Mapping[str, Weights] = field(default_factory=lambda: weights_by_default(0.1))
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def gate(self, gap: Float64[Array, "pair"]) -> Float64[Array, "pair"]:
        """Radius (m) within which 95 % of objects are that kept their velocity over a gap (s), more or less."""
        return np.asarray(_GATE * np.hypot(self.miss_at_once, self.miss_per_second * gap))


def weights_by_default(temperature: float) -> dict[str, Weights]:
    """Of all methods with weights: motion as it is, time of no account.

    Args:
        temperature: by which a cosine is divided to be a log-likelihood.
    """
    fused = Weights(embedding=1 / temperature)
    return {MOTION_TIME: Weights(), MOTION_EMBEDDING: fused, MOTION_TIME_EMBEDDING: fused}


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
    weighed = [MOTION_TIME]
    alike = np.zeros(len(pairs))
    if embeddings is not None:
        alike = most_alike(pairs, embeddings)
        weighed += [MOTION_EMBEDDING, MOTION_TIME_EMBEDDING]
    told = evidence(motion, pairs.gap, alike)
    sums = {name: told @ np.array(astuple(parameters.weights[name])) for name in weighed}
    result[MOTION_TIME] = sums.pop(MOTION_TIME)
    return result if embeddings is None else result | {EMBEDDING: alike} | sums


def evidence(
    motion: Float64[Array, "pair"], gap: Float64[Array, "pair"], alike: Float64[Array, "pair"]
) -> Float64[Array, "pair 3"]:
    """What ``Weights`` weigh of each pair, in their order; what nothing is known of counts nothing."""
    return np.stack((motion, np.log(gap), np.nan_to_num(alike)), axis=1)


def most_alike(pairs: Pairs, embeddings: Embeddings) -> Float64[Array, "pair"]:
    """Cosine of the later sighting and the most alike sighting of the earlier one's object, up to the earlier one.

    An object looks different from every side; the nearest of all that was seen of it is compared, as in DeepSORT
    (Wojke et al., ICIP 2017). NaN where one of the two has no embedding.
    """
    sightings = pairs.sightings
    begins = np.flatnonzero(~sightings.has_earlier())[sightings.object[pairs.earlier]]
    result = np.empty(len(pairs))
    for start in range(0, len(pairs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        count = pairs.earlier[part] + 1 - begins[part]
        pair, seen = expanded(begins[part], count)
        cosine = np.einsum("pd,pd->p", embeddings[seen], embeddings[pairs.later[part]][pair])
        result[part] = np.fmax.reduceat(cosine, np.cumsum(count) - count)
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
