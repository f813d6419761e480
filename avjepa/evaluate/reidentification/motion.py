"""Where an object is expected after a gap, and how surely, by a Kalman filter over all of its sightings before."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.pairs import Pairs
from avjepa.evaluate.reidentification.sightings import Sightings

_BOUNDS = ((0.02, 5.0), (0.1, 30.0), (0.2, 100.0))


@dataclass(frozen=True)
class MotionModel:
    """Motion on the ground whose velocity is forgotten: an integrated Ornstein-Uhlenbeck process on each axis.

    With a long memory it is the usual model of a constant velocity; with a short one, objects stay where they were.

    Attributes:
        position_sigma: standard deviation (m) of a box's place on each axis.
        speed_sigma: of a velocity of which nothing is known (m/s).
        memory: seconds after which a velocity has shrunk to 37 %.
    """

    position_sigma: float = 0.1
    speed_sigma: float = 1.0
    memory: float = 10.0

    def log_likelihood(self, pairs: Pairs) -> Float64[Array, "pair"]:
        """Of the later sighting's place, if it is of the earlier one's object, but for a constant."""
        states = self._after(pairs.sightings)[pairs.earlier]
        place, variance = self._predicted(states, pairs.gap)
        miss = ((pairs.sightings.boxes[pairs.later, :2] - place[:, :2]) ** 2).sum(1)
        total = variance[:, 0] + self.position_sigma**2
        result: Array = -miss / (2 * total) - np.log(total)
        return result

    def _after(self, sightings: Sightings) -> Float64[Array, "sighting 7"]:
        """What is known of an object after each sighting: place and velocity, and the variances of place, of both
        together and of velocity, which are the same on both axes."""
        states = np.empty((len(sightings), 7))
        noise = self.position_sigma**2
        begins = np.flatnonzero(~sightings.has_earlier())
        count = np.diff(np.append(begins, len(sightings)))
        states[begins] = 0.0
        states[begins, :2] = sightings.boxes[begins, :2]
        states[begins, 4], states[begins, 6] = noise, self.speed_sigma**2
        for step in range(1, int(count.max(initial=0))):
            row = begins[count > step] + step
            place, variance = self._predicted(states[row - 1], sightings.time[row] - sightings.time[row - 1])
            surprise = sightings.boxes[row, :2] - place[:, :2]
            gain = variance[:, :2] / (variance[:, :1] + noise)  # of place and of velocity
            states[row, :2] = place[:, :2] + gain[:, :1] * surprise
            states[row, 2:4] = place[:, 2:] + gain[:, 1:] * surprise
            states[row, 4] = (1 - gain[:, 0]) * variance[:, 0]
            states[row, 5] = (1 - gain[:, 0]) * variance[:, 1]
            states[row, 6] = variance[:, 2] - gain[:, 1] * variance[:, 1]
        return states

    def _predicted(
        self, states: Float64[Array, "row 7"], gap: Float64[Array, "row"]
    ) -> tuple[Float64[Array, "row 4"], Float64[Array, "row 3"]]:
        """Place and velocity after a gap, and their three variances."""
        kept = np.exp(-gap / self.memory)
        reach = self.memory * (1 - kept)  # metres for each m/s
        place = states[:, :2] + reach[:, None] * states[:, 2:4]
        velocity = kept[:, None] * states[:, 2:4]
        own, both, speed = states[:, 4:].T
        power = self.speed_sigma**2
        spread = power * self.memory**2 * (2 * gap / self.memory - 3 + 4 * kept - kept**2)
        variance = (
            own + 2 * reach * both + reach**2 * speed + np.maximum(spread, 0),
            kept * (both + reach * speed) + power * self.memory * (1 - kept) ** 2,
            kept**2 * speed + power * (1 - kept**2),
        )
        return np.concatenate((place, velocity), axis=1), np.stack(variance, axis=1)


def fitted_motion(own: Pairs) -> MotionModel:
    """The model under which objects are most likely where they came back.

    Args:
        own: the last sighting before a gap and the first one after it, of many objects.
    """

    def surprise(logarithms: Float64[Array, "3"]) -> float:
        return -float(MotionModel(*np.exp(logarithms)).log_likelihood(own).sum())

    usual = MotionModel()
    start = np.log([usual.position_sigma, usual.speed_sigma, usual.memory])
    bounds = [(math.log(low), math.log(high)) for low, high in _BOUNDS]
    found = minimize(surprise, start, bounds=bounds, method="L-BFGS-B")
    return MotionModel(*(float(value) for value in np.exp(found.x)))
