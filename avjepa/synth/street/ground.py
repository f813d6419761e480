"""The ground that roads lie on: its height, what covers it, its triangles."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from avjepa.synth.arrays import Array, FloatArray, Numbers
from avjepa.synth.street.streets import WORLD_SIZE, Layout, Road

RASTER_CELL = 0.1
"""Side of a cell of the ground raster, m: the resolution of nuScenes map masks."""
KERB_HEIGHT = 0.12


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


_CARRIAGEWAY = (Surface.ASPHALT, Surface.PATCH, Surface.WHITE_MARKING, Surface.YELLOW_MARKING)


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

    def height(self, points: Numbers) -> Array:
        """Height of the bare ground at (n, 2) points."""
        xy = np.asarray(points, np.float64)
        height: Array = np.sin(xy @ self._wave.T + self._phase) @ self._amplitude
        return height

    def surface(self, points: Numbers) -> NDArray[np.uint8]:
        """``Surface`` at (n, 2) points."""
        rows = len(self.raster)
        cell = np.clip(np.floor(np.asarray(points, np.float64) / RASTER_CELL).astype(np.int64), 0, rows - 1)
        surface: NDArray[np.uint8] = self.raster[cell[..., 1], cell[..., 0]]
        return surface

    def standing_height(self, points: Numbers) -> Array:
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
    for edge in np.flatnonzero(np.diff(free_at.astype(int)) != 0):
        # a stop line, where the markings end, across the lanes that lead to the junction
        direction = 1 if free_at[edge] else -1
        near, far = sorted((0.0, -direction * road.lanes * road.lane_width))
        start = float(edge) - 3.5 * direction
        draw.polygon(_band(road, near, far, start, start + 0.5), fill=int(Surface.WHITE_MARKING))


def map_mask(ground: Ground) -> Image.Image:
    """The nuScenes semantic prior: 255 on carriageways, 0 elsewhere; the first row is the largest y."""
    drivable = np.isin(ground.raster, _CARRIAGEWAY).astype(np.uint8) * 255
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
            rows = [
                np.column_stack((inner, ground.height(inner) - 0.02)),
                np.column_stack((inner, ground.height(inner) + KERB_HEIGHT)),
                np.column_stack((outer, ground.height(outer) + KERB_HEIGHT)),
                np.column_stack((outer, ground.height(outer) - 0.02)),
            ]
            vertices += rows
            here = np.flatnonzero(~blocked[:-1] & ~blocked[1:])
            for band in range(3):
                low, high = total + band * len(s) + here, total + (band + 1) * len(s) + here
                faces += [np.column_stack((low, low + 1, high + 1)), np.column_stack((low, high + 1, high))]
            total += 4 * len(s)
    return np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.int32)
