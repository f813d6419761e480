"""Roads, lanes and the ground they lie on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array, Numbers

WORLD_SIZE = 300.0
"""Side of the square world, m; its corner is the origin of the global frame."""
PARKING_WIDTH = 2.4


@dataclass(frozen=True)
class Road:
    """A two-way road with right-hand traffic along a centreline of points one metre apart."""

    centre: Array
    """(point, 2), global xy."""
    heading: Array
    """(point,), radians, continuous."""
    lanes: int
    """Per direction."""
    lane_width: float
    parking: tuple[bool, bool]
    """Whether cars park along the left and along the right kerb."""
    sidewalk: float
    """Width of both pavements, m."""

    @property
    def length(self) -> float:
        """Length of the centreline, m."""
        return float(len(self.centre) - 1)

    def kerb(self, side: int) -> float:
        """Distance of the kerb from the centreline; ``side`` is 1 on the left, -1 on the right."""
        parks = self.parking[0 if side > 0 else 1]
        return self.lanes * self.lane_width + (PARKING_WIDTH if parks else 0.3)

    def edge(self, side: int) -> float:
        """Distance of the outer edge of the pavement from the centreline."""
        return self.kerb(side) + self.sidewalk

    def at(self, along: Numbers, left: Numbers) -> tuple[Array, Array]:
        """Global xy (n, 2) and heading (n,) of points ``along`` metres from the start, ``left`` of the centreline."""
        s = np.atleast_1d(np.asarray(along, np.float64))
        index = np.arange(len(self.centre))
        x, y = np.interp(s, index, self.centre[:, 0]), np.interp(s, index, self.centre[:, 1])
        heading = np.interp(s, index, self.heading)
        offset = np.broadcast_to(np.asarray(left, np.float64), s.shape)
        return np.column_stack((x - np.sin(heading) * offset, y + np.cos(heading) * offset)), heading

    def lane(self, direction: int, index: int) -> float:
        """Leftward offset of a lane's middle; ``direction`` 1 runs with the centreline, index 0 is the inner lane."""
        return -direction * (index + 0.5) * self.lane_width

    def nearest(self, points: Numbers) -> tuple[Array, Array]:
        """Position along and signed offset to the left of the centreline's nearest point, for (n, 2) points."""
        xy = np.atleast_2d(np.asarray(points, np.float64))
        index = np.argmin(((xy[:, None] - self.centre[None]) ** 2).sum(-1), axis=1)
        offset = xy - self.centre[index]
        heading = self.heading[index]
        along = index + offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
        return along, offset[:, 1] * np.cos(heading) - offset[:, 0] * np.sin(heading)

    def within(self, points: Numbers, margin: float, *, of_kerb: bool = False) -> NDArray[np.bool_]:
        """Which points lie less than ``margin`` metres outside the pavement (or outside the kerb)."""
        along, left = self.nearest(points)
        limit = self.kerb if of_kerb else self.edge
        inside = (left < limit(1) + margin) & (left > -limit(-1) - margin)
        return inside & (along > -margin) & (along < self.length + margin)


@dataclass(frozen=True)
class Layout:
    """The roads of one world; the first is the one on which the ego vehicle starts."""

    kind: str
    roads: tuple[Road, ...]
    junction: float | None
    """Position of the crossing along the first road."""
    crossings: tuple[tuple[int, float], ...]
    """Zebra crossings: (road index, position along it)."""


def _centreline(through: Numbers, heading: float, curvature: Array) -> tuple[Array, Array]:
    """A line of unit steps whose middle point is ``through``; ``curvature`` (1/m) is given per step."""
    headings = np.concatenate(([0.0], np.cumsum(curvature)))
    headings += heading - headings[len(headings) // 2]
    steps = np.column_stack((np.cos(headings[:-1]), np.sin(headings[:-1])))
    points = np.concatenate((np.zeros((1, 2)), np.cumsum(steps, axis=0)))
    return points - points[len(points) // 2] + np.asarray(through, np.float64), headings


def _road(rng: np.random.Generator, through: Numbers, heading: float, curvature: Array, lanes: int) -> Road:
    centre, headings = _centreline(through, heading, curvature)
    parking = (bool(rng.random() < 0.75), bool(rng.random() < 0.75))
    return Road(centre, headings, lanes, rng.uniform(3.2, 3.7), parking, rng.uniform(2.8, 5.0))


def lay_out(rng: np.random.Generator) -> Layout:
    """A straight street, a bend, a crossroads or a T-junction somewhere in the world."""
    kind = str(rng.choice(["straight", "curve", "crossroads", "t-junction"], p=[0.2, 0.25, 0.35, 0.2]))
    middle = np.full(2, WORLD_SIZE / 2)
    heading = rng.uniform(-np.pi, np.pi)
    half = 140
    curvature = np.zeros(2 * half)
    if kind == "curve":
        turn, start, span = (
            rng.uniform(0.5, 1.3) * rng.choice((-1, 1)),
            int(rng.integers(110, 150)),
            int(rng.integers(35, 70)),
        )
        window = np.hanning(span + 2)[1:-1]
        curvature[start : start + span] = turn * window / window.sum()
    else:
        curvature += rng.uniform(-0.0012, 0.0012)
    main = _road(rng, middle, heading, curvature, int(rng.choice((1, 2), p=(0.45, 0.55))))
    crossings: list[tuple[int, float]] = []
    if kind in ("straight", "curve"):
        crossings.append((0, float(rng.uniform(115, 175))))
        return Layout(kind, (main,), None, tuple(crossings))
    junction = float(rng.uniform(130, 165))
    point, along = main.at(junction, 0.0)
    angle = along[0] + np.pi / 2 * rng.choice((-1, 1)) + rng.uniform(-0.25, 0.25)
    side_road = _road(rng, point[0], angle, np.zeros(2 * half), int(rng.choice((1, 2), p=(0.6, 0.4))))
    if kind == "t-junction":
        side_road = Road(
            side_road.centre[half:],
            side_road.heading[half:],
            side_road.lanes,
            side_road.lane_width,
            side_road.parking,
            side_road.sidewalk,
        )
    roads = (main, side_road)
    for index, (road, other) in enumerate((roads, roads[::-1])):
        at = road.nearest(point)[0][0]
        reach = max(other.kerb(1), other.kerb(-1)) + 3.0
        crossings += [(index, at + sign * reach) for sign in (-1, 1) if 10 < at + sign * reach < road.length]
    return Layout(kind, roads, junction, tuple(crossings))
