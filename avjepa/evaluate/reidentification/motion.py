"""Where an object is expected after a gap, and how surely, by a Kalman filter over all of its sightings before."""

import math

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from avjepa.data.arrays import Array
from avjepa.evaluate.motion import MotionModel, States
from avjepa.evaluate.reidentification.pairs import Pairs
from avjepa.evaluate.reidentification.sightings import Sightings

_BOUNDS = ((0.02, 5.0), (0.1, 30.0), (0.2, 100.0))


def motion_log_likelihood(model: MotionModel, pairs: Pairs) -> Float64[Array, "pair"]:
    """Of the later sighting's place, if it is of the earlier one's object, but for a constant."""
    place, total = expected_places(model, pairs)
    miss = ((pairs.sightings.boxes[pairs.later, :2] - place) ** 2).sum(1)
    result: Array = -miss / (2 * total) - np.log(total)
    return result


def expected_places(model: MotionModel, pairs: Pairs) -> tuple[Float64[Array, "pair 2"], Float64[Array, "pair"]]:
    """Where the earlier sighting's object is expected at the time of the later one (m), and the variance on each axis
    (m²) of where it would be sighted."""
    expected = model.predicted(_after(model, pairs.sightings)[pairs.earlier], pairs.gap)
    return expected[:, :2], model.spread(expected)


def _after(model: MotionModel, sightings: Sightings) -> States:
    """What is known of an object after each sighting."""
    states = np.empty((len(sightings), 7))
    begins = np.flatnonzero(~sightings.has_earlier())
    count = np.diff(np.append(begins, len(sightings)))
    states[begins] = model.begun(sightings.boxes[begins, :2])
    for step in range(1, int(count.max(initial=0))):
        row = begins[count > step] + step
        expected = model.predicted(states[row - 1], sightings.time[row] - sightings.time[row - 1])
        states[row] = model.sighted(expected, sightings.boxes[row, :2])
    return states


def fitted_motion(own: Pairs) -> MotionModel:
    """The model under which objects are most likely where they came back.

    Args:
        own: the last sighting before a gap and the first one after it, of many objects.
    """

    def surprise(logarithms: Float64[Array, "3"]) -> float:
        return -float(motion_log_likelihood(MotionModel(*np.exp(logarithms)), own).sum())

    usual = MotionModel()
    start = np.log([usual.position_sigma, usual.speed_sigma, usual.memory])
    bounds = [(math.log(low), math.log(high)) for low, high in _BOUNDS]
    found = minimize(surprise, start, bounds=bounds, method="L-BFGS-B")
    return MotionModel(*(float(value) for value in np.exp(found.x)))
