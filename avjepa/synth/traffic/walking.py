"""People on foot: along pavements, over crossings, out from between parked cars."""

from dataclasses import dataclass

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.people import WALK_PHASES
from avjepa.synth.street.streets import Layout

STRIDE = 1.45
"""Metres that an adult covers in one walking cycle."""


@dataclass(frozen=True)
class Walk:
    """A path with waits."""

    points: Array
    """(corner, 2)."""
    speed: float
    departure: float
    """Seconds since the scene began; before it the person stands at the first point."""
    pause: tuple[float, float] = (np.inf, 0.0)
    """(distance at which the person stops, seconds of the stop)."""

    def at(self, times: Array) -> tuple[Array, Array, Array]:
        """xy (time, 2), heading (time,) and progress through the walking cycle in poses (time,)."""
        legs = np.diff(self.points, axis=0)
        lengths = np.linalg.norm(legs, axis=1)
        corners = np.concatenate(([0.0], np.cumsum(lengths)))
        at, wait = self.pause
        walked = self.speed * np.maximum(times - self.departure, 0.0)
        walked = np.where(walked > at, np.maximum(at, walked - self.speed * wait), walked)
        walked = np.minimum(walked, corners[-1])
        xy = np.column_stack([np.interp(walked, corners, self.points[:, axis]) for axis in (0, 1)])
        middles = (corners[:-1] + corners[1:]) / 2
        heading = np.unwrap(np.arctan2(legs[:, 1], legs[:, 0]))
        # turn over the last half metre before and the first after a corner
        knots = np.sort(
            np.concatenate(
                (middles, np.maximum(corners[1:-1] - 0.5, middles[:-1]), np.minimum(corners[1:-1] + 0.5, middles[1:]))
            )
        )
        leg = np.clip(np.searchsorted(corners, knots, side="right") - 1, 0, len(legs) - 1)
        return xy, np.interp(walked, knots, heading[leg]), walked / STRIDE * WALK_PHASES


def along_pavement(rng: np.random.Generator, layout: Layout, number: int, speed: float, duration: float) -> Walk:
    """A walk along one pavement, in the strip that posts and benches leave free."""
    road = layout.roads[number]
    side, direction = int(rng.choice((-1, 1))), int(rng.choice((-1, 1)))
    left = side * rng.uniform(road.kerb(side) + 1.0, max(road.kerb(side) + 1.2, road.edge(side) - 0.95))
    reach = speed * (duration + 2)
    low, high = (60.0, 215.0) if road.length > 200 else (15.0, 90.0)
    start = rng.uniform(low, high) - direction * reach / 2
    s = np.linspace(start, start + direction * reach, max(3, int(reach / 2)))
    pause = (rng.uniform(1, reach), rng.uniform(1, 5)) if rng.random() < 0.25 else (np.inf, 0.0)
    return Walk(road.at(s, left)[0], speed, -1.0, pause)


def over_crossing(
    rng: np.random.Generator, layout: Layout, number: int, at: float, speed: float, duration: float
) -> Walk:
    """A walk across a road at ``at`` metres along it, then on along the far pavement."""
    road = layout.roads[number]
    side, direction = int(rng.choice((-1, 1))), int(rng.choice((-1, 1)))
    near, far = side * (road.kerb(side) + rng.uniform(0.6, 1.6)), -side * (road.kerb(-side) + rng.uniform(1.0, 1.8))
    shift = rng.uniform(-1.2, 1.2)
    points = np.concatenate(
        (road.at((at + shift, at + shift), (near, far))[0], road.at(np.arange(1, 5) * 6.0 * direction + at, far)[0])
    )
    return Walk(points, speed, float(rng.uniform(-4.0, max(1.0, duration - 3.0))))
