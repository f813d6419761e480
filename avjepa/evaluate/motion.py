"""A Kalman filter for objects on the ground: where they are expected, how surely, and what a sighting says of that."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array

States = Float64[Array, "row 7"]
"""What is known of objects: place and velocity (x, y each), and the variances of place, of both together and of
velocity, which are the same on both axes."""


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

    def begun(self, places: Float64[Array, "row 2"]) -> States:
        """Of objects that are sighted for the first time."""
        states = np.zeros((len(places), 7))
        states[:, :2] = places
        states[:, 4], states[:, 6] = self.position_sigma**2, self.speed_sigma**2
        return states

    def predicted(self, states: States, gap: Float64[Array, "row"]) -> States:
        """After a time (s) without a sighting."""
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
        return np.concatenate((place, velocity, np.stack(variance, axis=1)), axis=1)

    def sighted(self, expected: States, places: Float64[Array, "row 2"]) -> States:
        """After a sighting, of objects that were expected at that time."""
        surprise = places - expected[:, :2]
        own, both, speed = expected[:, 4:].T
        total = own + self.position_sigma**2
        of_place, of_velocity = own / total, both / total
        states = expected.copy()
        states[:, :2] += of_place[:, None] * surprise
        states[:, 2:4] += of_velocity[:, None] * surprise
        states[:, 4] = (1 - of_place) * own
        states[:, 5] = (1 - of_place) * both
        states[:, 6] = speed - of_velocity * both
        return states

    def spread(self, expected: States) -> Float64[Array, "row"]:
        """Variance (m²) of a sighting's place on each axis around that of an expected state."""
        result: Array = expected[:, 4] + self.position_sigma**2
        return result


def measured_velocity(states: States, velocity: Float64[Array, "row 2"], sigma: float) -> States:
    """States after a detector told velocities with a standard deviation (m/s); where they are NaN, nothing changes."""
    own, both, speed = states[:, 4:].T
    total = speed + sigma**2
    surprise = velocity - states[:, 2:4]
    told = states.copy()
    told[:, :2] += (both / total)[:, None] * surprise
    told[:, 2:4] += (speed / total)[:, None] * surprise
    told[:, 4] = own - both**2 / total
    told[:, 5] = both * (1 - speed / total)
    told[:, 6] = speed * (1 - speed / total)
    return np.where(np.isnan(velocity).any(1)[:, None], states, told)
