"""Paths that vehicles follow: lanes, lane changes, turns at the junction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.street.streets import Layout, Road

STEP = 0.5
"""Distance between the points of a route, m."""


@dataclass(frozen=True)
class Route:
    """A drivable line."""

    points: Array
    """(point, 2), ``STEP`` metres apart."""
    limit: Array
    """(point,), speed at which the bends can be driven, m/s."""
    stop_line: float
    """Distance from the start at which one waits at a red light; infinite without a junction."""
    signal: int
    """Road whose signal counts."""

    @property
    def length(self) -> float:
        """Length, m."""
        return STEP * (len(self.points) - 1)

    def at(self, distance: Array) -> Array:
        """Points (n, 2) at distances from the start, continued straight beyond both ends."""
        index = distance / STEP
        inside = np.clip(index, 0, len(self.points) - 1.001)
        low = np.floor(inside).astype(int)
        step = self.points[low + 1] - self.points[low]
        at: Array = self.points[low] + step * (index - low)[:, None]
        return at


class Routes:
    """Several routes, looked up all at once."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._points = np.concatenate([route.points for route in routes])
        self._limit = np.concatenate([route.limit for route in routes])
        self._count = np.array([len(route.points) for route in routes])[:, None]
        self._first = np.cumsum(self._count, axis=0) - self._count

    def at(self, distance: Array) -> Array:
        """Points (route, n, 2) at distances (route, n), as ``Route.at`` gives them."""
        index = distance / STEP
        low = np.clip(index, 0, self._count - 1.001).astype(int)
        here = self._points[self._first + low]
        at: Array = here + (self._points[self._first + low + 1] - here) * (index - low)[..., None]
        return at

    def limit(self, distance: Array) -> Array:
        """Speeds (route, n) at which the bends at distances (route, n) can be driven, m/s."""
        index = np.clip((distance / STEP).astype(int), 0, self._count - 1)
        limit: Array = self._limit[self._first + index]
        return limit


@dataclass(frozen=True)
class LaneShift:
    """A lateral detour: away between two positions on the road and back again."""

    start: float
    """Position along the route, m, where the vehicle has reached its new offset."""
    end: float
    offset: float
    """Metres to the left, in driving direction."""
    ramp: float = 16.0


def _evenly_spaced(points: Array) -> Array:
    lengths = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    distances = np.arange(0.0, lengths[-1], STEP)
    return np.column_stack((np.interp(distances, lengths, points[:, 0]), np.interp(distances, lengths, points[:, 1])))


def _lane_points(road: Road, direction: int, left: float, start: float, end: float) -> Array:
    """Points from ``start`` to ``end`` along a road at a fixed offset from its centreline."""
    return road.at(np.arange(start, end, direction * STEP), left)[0]


def _finished(points: Array, shifts: Sequence[LaneShift], stop_line: float, signal: int) -> Route:
    points = _evenly_spaced(points)
    for shift in shifts:
        distance = STEP * np.arange(len(points))
        rise = np.clip((distance - (shift.start - shift.ramp)) / shift.ramp, 0, 1)
        fall = np.clip((distance - shift.end) / shift.ramp, 0, 1)
        amount = shift.offset * (rise * rise * (3 - 2 * rise) - fall * fall * (3 - 2 * fall))
        tangent = np.gradient(points, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        points = points + amount[:, None] * np.column_stack((-tangent[:, 1], tangent[:, 0]))
    tangent = np.gradient(points, axis=0)
    heading = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
    curvature = np.abs(np.gradient(heading)) / STEP
    smooth = np.convolve(curvature, np.ones(9) / 9, mode="same")
    return Route(points, np.sqrt(1.8 / np.maximum(smooth, 1e-3)), stop_line, signal)


def along_road(
    layout: Layout, number: int, direction: int, lane: int, shifts: Sequence[LaneShift] = (), drift: float = 0.0
) -> Route:
    """The whole lane of a road.

    Args:
        layout: the streets.
        number: index of the road.
        direction: 1 with the centreline, -1 against it.
        lane: 0 is the inner lane.
        shifts: detours, positions counted from the route's start.
        drift: constant offset from the middle of the lane, m to the right.
    """
    road = layout.roads[number]
    left = road.lane(direction, lane) - direction * drift
    start, end = (0.0, road.length) if direction > 0 else (road.length, 0.0)
    stop = stop_position(layout, number, direction)
    return _finished(
        _lane_points(road, direction, left, start, end), shifts, np.inf if stop is None else abs(stop - start), number
    )


def stop_position(layout: Layout, number: int, direction: int) -> float | None:
    """Position along a road of its stop line before the junction, or nothing when there is none in this direction."""
    at = [position for index, position in layout.crossings if index == number]
    if layout.junction is None or not at:
        return None
    middle = layout.roads[number].nearest(layout.roads[0].at(layout.junction, 0.0)[0])[0][0]
    before = [position for position in at if (position < middle) == (direction > 0)]
    return before[0] - 3.5 * direction if before else None


def turning(
    layout: Layout, number: int, direction: int, lane: int, onto: int, onto_direction: int, onto_lane: int
) -> Route:
    """A lane up to the junction, a bend, and a lane of the other road away from it."""
    road, other = layout.roads[number], layout.roads[onto]
    assert layout.junction is not None
    point = layout.roads[0].at(layout.junction, 0.0)[0]
    here, there = road.nearest(point)[0][0], other.nearest(point)[0][0]
    entry = here - direction * (max(other.kerb(1), other.kerb(-1)) + 1.0)
    leave = there + onto_direction * (max(road.kerb(1), road.kerb(-1)) + 1.0)
    start = 0.0 if direction > 0 else road.length
    end = other.length if onto_direction > 0 else 0.0
    approach = _lane_points(road, direction, road.lane(direction, lane), start, entry)
    departure = _lane_points(other, onto_direction, other.lane(onto_direction, onto_lane), leave, end)
    first, last = approach[-1], departure[0]
    reach = 0.55 * np.linalg.norm(last - first)
    incoming, outgoing = approach[-1] - approach[-2], departure[1] - departure[0]
    control = (
        first,
        first + reach * incoming / np.linalg.norm(incoming),
        last - reach * outgoing / np.linalg.norm(outgoing),
        last,
    )
    t = np.linspace(0, 1, 40)[:, None]
    bend = (
        (1 - t) ** 3 * control[0]
        + 3 * (1 - t) ** 2 * t * control[1]
        + 3 * (1 - t) * t**2 * control[2]
        + t**3 * control[3]
    )
    stop = stop_position(layout, number, direction)
    stop_line = np.inf if stop is None else abs(stop - start)
    return _finished(np.concatenate((approach[:-1], bend, departure[1:])), (), stop_line, number)
