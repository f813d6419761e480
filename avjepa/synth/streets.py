"""Roads, lanes and the ground they lie on."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from avjepa.synth.materials import FloatArray

Array = NDArray[np.float64]

WORLD_SIZE = 300.0
"""Side of the square world, m; its corner is the origin of the global frame."""
RASTER_CELL = 0.1
"""Side of a cell of the ground raster, m: the resolution of nuScenes map masks."""
KERB_HEIGHT = 0.12
PARKING_WIDTH = 2.4


class Surface(IntEnum):
    """What a cell of the ground raster is covered with."""

    GRASS = 0
    PAVING = 1
    ASPHALT = 2
    PATCH = 3
    WHITE_MARKING = 4
    YELLOW_MARKING = 5
    SIDEWALK = 6
    SIDEWALK_JOINT = 7


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

    def at(self, along: ArrayLike, left: ArrayLike) -> tuple[Array, Array]:
        """Global xy (n, 2) and heading (n,) of points ``along`` metres from the start and ``left`` of the centreline."""
        s = np.atleast_1d(np.asarray(along, np.float64))
        index = np.arange(len(self.centre))
        x, y = np.interp(s, index, self.centre[:, 0]), np.interp(s, index, self.centre[:, 1])
        heading = np.interp(s, index, self.heading)
        offset = np.broadcast_to(np.asarray(left, np.float64), s.shape)
        return np.column_stack((x - np.sin(heading) * offset, y + np.cos(heading) * offset)), heading

    def lane(self, direction: int, index: int) -> float:
        """Offset to the left of the centre of a lane; ``direction`` 1 runs with the centreline, index 0 is the inner lane."""
        return -direction * (index + 0.5) * self.lane_width

    def nearest(self, points: ArrayLike) -> tuple[Array, Array]:
        """Position along and signed offset to the left of the centreline's nearest point, for (n, 2) points."""
        xy = np.atleast_2d(np.asarray(points, np.float64))
        index = np.argmin(((xy[:, None] - self.centre[None]) ** 2).sum(-1), axis=1)
        offset = xy - self.centre[index]
        heading = self.heading[index]
        along = index + offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
        return along, offset[:, 1] * np.cos(heading) - offset[:, 0] * np.sin(heading)

    def within(self, points: ArrayLike, margin: float, *, of_kerb: bool = False) -> NDArray[np.bool_]:
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


def _centreline(through: ArrayLike, heading: float, curvature: Array) -> tuple[Array, Array]:
    """A line of unit steps whose middle point is ``through``; ``curvature`` (1/m) is given per step."""
    headings = np.concatenate(([0.0], np.cumsum(curvature)))
    headings += heading - headings[len(headings) // 2]
    steps = np.column_stack((np.cos(headings[:-1]), np.sin(headings[:-1])))
    points = np.concatenate((np.zeros((1, 2)), np.cumsum(steps, axis=0)))
    return points - points[len(points) // 2] + np.asarray(through, np.float64), headings


def _road(rng: np.random.Generator, through: ArrayLike, heading: float, curvature: Array, lanes: int) -> Road:
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


class Ground:
    """Gently uneven ground with a raster that says what covers it.

    The ground is a sum of three long waves; pavements stand ``KERB_HEIGHT`` above it.
    """

    def __init__(self, rng: np.random.Generator, layout: Layout) -> None:
        angle, wavelength = rng.uniform(0, 2 * np.pi, 3), rng.uniform(70, 150, 3)
        self._wave = np.column_stack((np.cos(angle), np.sin(angle))) * (2 * np.pi / wavelength)[:, None]
        self._phase = rng.uniform(0, 2 * np.pi, 3)
        self._amplitude = rng.uniform(0.03, 0.14, 3)
        self.raster = _rasterised(rng, layout)
        """(row, column) of ``Surface``; the row grows with y."""

    def height(self, points: ArrayLike) -> Array:
        """Height of the bare ground at (n, 2) points."""
        xy = np.asarray(points, np.float64)
        height: Array = np.sin(xy @ self._wave.T + self._phase) @ self._amplitude
        return height

    def surface(self, points: ArrayLike) -> NDArray[np.uint8]:
        """``Surface`` at (n, 2) points."""
        rows = len(self.raster)
        cell = np.clip(np.floor(np.asarray(points, np.float64) / RASTER_CELL).astype(np.int64), 0, rows - 1)
        surface: NDArray[np.uint8] = self.raster[cell[..., 1], cell[..., 0]]
        return surface

    def standing_height(self, points: ArrayLike) -> Array:
        """Height at which a thing stands at (n, 2) points: pavements included."""
        paved = np.isin(self.surface(points), (Surface.SIDEWALK, Surface.SIDEWALK_JOINT))
        return self.height(points) + KERB_HEIGHT * paved


def _band(
    road: Road, near: float, far: float, start: float = 0.0, end: float | None = None
) -> list[tuple[float, float]]:
    """Raster polygon of the strip between two offsets."""
    s = np.arange(
        start, (road.length if end is None else end) + 0.01, 1.0 if end is None or end - start > 3 else (end - start)
    )
    left, right = road.at(s, near)[0], road.at(s, far)[0]
    return [(float(x), float(y)) for x, y in np.concatenate((left, right[::-1])) / RASTER_CELL]


def _rasterised(rng: np.random.Generator, layout: Layout) -> NDArray[np.uint8]:
    cells = round(WORLD_SIZE / RASTER_CELL)
    image = Image.new("L", (cells, cells), int(Surface.PAVING if rng.random() < 0.5 else Surface.GRASS))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y, radius = rng.uniform(0, cells), rng.uniform(0, cells), rng.uniform(60, 250)
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=int(rng.choice((Surface.PAVING, Surface.GRASS)))
        )
    for road in layout.roads:
        draw.polygon(_band(road, road.edge(1), -road.edge(-1)), fill=int(Surface.SIDEWALK))
    for road in layout.roads:
        for side in (1, -1):
            for s in np.arange(0, road.length - 1, 1.5):
                draw.line(
                    [
                        tuple(p / RASTER_CELL)
                        for p in road.at((s, s), (side * road.kerb(side), side * road.edge(side)))[0]
                    ],
                    fill=int(Surface.SIDEWALK_JOINT),
                )
    for road in layout.roads:
        draw.polygon(_band(road, road.kerb(1), -road.kerb(-1)), fill=int(Surface.ASPHALT))
    for road in layout.roads:
        for _ in range(12):
            s, left = rng.uniform(5, road.length - 15), rng.uniform(-road.kerb(-1), road.kerb(1) - 2)
            draw.polygon(
                _band(road, left, left + rng.uniform(0.6, 1.8), s, s + rng.uniform(2, 9)), fill=int(Surface.PATCH)
            )
    for index, road in enumerate(layout.roads):
        others = [other for number, other in enumerate(layout.roads) if number != index]
        _mark_lanes(draw, road, others)
    for index, at in layout.crossings:
        road = layout.roads[index]
        for left in np.arange(-road.kerb(-1) + 0.4, road.kerb(1) - 0.6, 1.0):
            draw.polygon(_band(road, left, left + 0.5, at - 1.5, at + 1.5), fill=int(Surface.WHITE_MARKING))
    return np.asarray(image, np.uint8)


def _mark_lanes(draw: ImageDraw.ImageDraw, road: Road, others: Sequence[Road]) -> None:
    def free(s: float) -> bool:
        return not any(other.within(road.at(s, 0.0)[0], 4.5, of_kerb=True)[0] for other in others)

    offsets: list[tuple[float, float, Surface]] = [(0.0, 0.0 if road.lanes > 1 else 4.0, Surface.YELLOW_MARKING)]
    for lane in range(1, road.lanes):
        offsets += [(sign * lane * road.lane_width, 4.0, Surface.WHITE_MARKING) for sign in (-1, 1)]
    for side in (1, -1):
        offsets.append((side * road.lanes * road.lane_width, 0.0, Surface.WHITE_MARKING))
    free_at = np.array([free(s) for s in np.arange(road.length + 1)])
    for left, gap, surface in offsets:
        stride = 3.0 + gap
        for s in np.arange(0, road.length - 3, stride):
            if free_at[int(s)] and free_at[int(s) + 3]:
                draw.polygon(_band(road, left - 0.08, left + 0.08, s, s + 3.0), fill=int(surface))
    for side in (1, -1):
        if road.parking[0 if side > 0 else 1]:
            near, far = road.lanes * road.lane_width, road.kerb(side)
            for s in np.arange(3, road.length - 3, 6.0):
                if free_at[int(s)]:
                    draw.polygon(_band(road, side * near, side * far, s, s + 0.12), fill=int(Surface.WHITE_MARKING))
    for s in (int(edge) for edge in np.flatnonzero(np.diff(free_at.astype(int)) != 0)):
        direction = 1 if free_at[s] else -1
        left = (-road.lanes * road.lane_width, 0.0) if direction > 0 else (0.0, road.lanes * road.lane_width)
        draw.polygon(_band(road, *left, s - 0.5 - 3 * direction, s - 3 * direction), fill=int(Surface.WHITE_MARKING))


def map_mask(ground: Ground) -> Image.Image:
    """The nuScenes semantic prior: 255 on carriageways and pavements, 0 elsewhere; the first row is the largest y."""
    drivable = (ground.raster >= Surface.ASPHALT).astype(np.uint8) * 255
    return Image.fromarray(np.ascontiguousarray(drivable[::-1]), mode="L")


def ground_mesh_arrays(ground: Ground, layout: Layout) -> tuple[FloatArray, NDArray[np.int32]]:
    """Vertices and triangles of the ground: a 6 m grid, a far plain, raised pavements with their kerbs."""
    steps = np.linspace(0.0, WORLD_SIZE, 51)
    x, y = np.meshgrid(steps, steps)
    flat = np.column_stack((x.ravel(), y.ravel()))
    apron = np.array(
        [(-900, -900), (WORLD_SIZE + 900, -900), (WORLD_SIZE + 900, WORLD_SIZE + 900), (-900, WORLD_SIZE + 900)]
    )
    vertices = [np.column_stack((flat, ground.height(flat))), np.column_stack((apron, np.full(4, -0.6)))]
    index = np.arange(len(flat)).reshape(x.shape)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    faces = [np.column_stack((a, b, c)), np.column_stack((a, c, d)), len(flat) + np.array([[0, 1, 2], [0, 2, 3]])]
    flat = np.concatenate((flat, apron))
    total = len(flat)
    for number, road in enumerate(layout.roads):
        others = [other for other_number, other in enumerate(layout.roads) if other_number != number]
        for side in (1, -1):
            s = np.arange(0.0, road.length + 0.01, 2.0)
            inner, outer = road.at(s, side * road.kerb(side))[0], road.at(s, side * road.edge(side))[0]
            blocked = np.zeros(len(s), bool)
            for other in others:
                blocked |= other.within((inner + outer) / 2, 0.0, of_kerb=True)
            rows = [np.column_stack((inner, ground.height(inner) - 0.02)), np.column_stack((inner, ground.height(inner) + KERB_HEIGHT)),
                    np.column_stack((outer, ground.height(outer) + KERB_HEIGHT)), np.column_stack((outer, ground.height(outer) - 0.02))]  # fmt: skip
            vertices += rows
            here = np.flatnonzero(~blocked[:-1] & ~blocked[1:])
            for band in range(3):
                low, high = total + band * len(s) + here, total + (band + 1) * len(s) + here
                faces += [np.column_stack((low, low + 1, high + 1)), np.column_stack((low, high + 1, high))]
            total += 4 * len(s)
    return np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.int32)
