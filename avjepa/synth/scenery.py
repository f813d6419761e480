"""Everything beside the road that never moves and is never annotated: houses, walls, hedges, trees, street furniture."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from avjepa.synth import props
from avjepa.synth.materials import FloatArray, Material
from avjepa.synth.mesh import Colour, Mesh, box, merged, painted
from avjepa.synth.streets import Array, Ground, Layout, Road, ground_mesh_arrays

_WALLS: tuple[Colour, ...] = (
    (0.45, 0.40, 0.33), (0.28, 0.13, 0.09), (0.55, 0.52, 0.46), (0.35, 0.33, 0.31), (0.50, 0.36, 0.24), (0.22, 0.22, 0.24),
    (0.60, 0.55, 0.42), (0.36, 0.20, 0.14), (0.40, 0.42, 0.44),
)  # fmt: skip


@dataclass(frozen=True)
class Facades:
    """Window patterns of the building blocks; block ``i`` owns the triangles 12 i to 12 i + 11 of the facade mesh."""

    centre: FloatArray
    """(block, 2)."""
    yaw: FloatArray
    base: FloatArray
    """Height of the ground floor, m."""
    storey: FloatArray
    """Height of a storey, m."""
    bay: FloatArray
    """Distance between windows, m."""
    glazing: FloatArray
    """(block, 2): share of a bay and of a storey that is window."""
    half: FloatArray
    """(block, 2): half extents along the block's x and y."""


@dataclass
class Plot:
    """Where something already stands: oriented rectangles."""

    rectangles: list[tuple[float, float, float, float, float]] = field(default_factory=list)

    def take(self, centre: Sequence[float] | Array, yaw: float, length: float, width: float) -> bool:
        """Claim a rectangle (m); false, and nothing claimed, when it overlaps an earlier one."""
        claimed = (float(centre[0]), float(centre[1]), yaw, length, width)
        if self.rectangles:
            others = np.array(self.rectangles)
            reach = np.hypot(others[:, 3], others[:, 4]) + math.hypot(length, width)
            close = np.hypot(others[:, 0] - claimed[0], others[:, 1] - claimed[1]) < reach / 2
            if any(_overlap(claimed, self.rectangles[index]) for index in np.flatnonzero(close)):
                return False
        self.rectangles.append(claimed)
        return True


def _corners(rectangle: tuple[float, float, float, float, float]) -> Array:
    x, y, yaw, length, width = rectangle
    local = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (length / 2, width / 2)
    cos, sin = np.cos(yaw), np.sin(yaw)
    corners: Array = local @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return corners


def _overlap(first: tuple[float, float, float, float, float], second: tuple[float, float, float, float, float]) -> bool:
    a, b = _corners(first), _corners(second)
    for yaw in (first[2], first[2] + np.pi / 2, second[2], second[2] + np.pi / 2):
        axis = np.array((np.cos(yaw), np.sin(yaw)))
        if (a @ axis).max() < (b @ axis).min() or (b @ axis).max() < (a @ axis).min():
            return False
    return True


@dataclass
class Scenery:
    """The collected parts, in the order of their triangles: facades first."""

    facade_meshes: list[Mesh] = field(default_factory=list)
    facade_rows: list[tuple[float, ...]] = field(default_factory=list)
    meshes: list[Mesh] = field(default_factory=list)
    plot: Plot = field(default_factory=Plot)
    yards: list[tuple[Array, float]] = field(default_factory=list)
    """Places (xy, yaw) beside the street where a car may be parked off the road."""
    benches: list[tuple[Array, float]] = field(default_factory=list)
    """Centres of seats and the direction in which one looks from them."""
    shelters: list[tuple[int, int, float]] = field(default_factory=list)
    """Bus stops: road index, side, position along the road."""

    def facades(self) -> Facades:
        """The window patterns as arrays."""
        rows = np.array(self.facade_rows, np.float32).reshape(-1, 10)
        return Facades(rows[:, 0:2], rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5], rows[:, 6:8], rows[:, 8:10])


def build_scenery(rng: np.random.Generator, layout: Layout, ground: Ground) -> Scenery:
    """Line every road with lots and furniture."""
    scenery = Scenery()
    vertices, faces = ground_mesh_arrays(ground, layout)
    scenery.meshes.append(painted(vertices, faces, (0.2, 0.2, 0.2), Material.GROUND))
    for number, road in enumerate(layout.roads):
        for side in (1, -1):
            _furnish(rng, scenery, layout, ground, number, side)
            _line_with_lots(rng, scenery, layout, ground, road, side)
    _signals(scenery, layout, ground)
    _skyline(rng, scenery)
    return scenery


def _place(scenery: Scenery, ground: Ground, mesh: Mesh, xy: Array, yaw: float) -> None:
    scenery.meshes.append(mesh.moved((xy[0], xy[1], float(ground.standing_height(xy[None])[0]) - 0.02), yaw))


def _block(
    scenery: Scenery,
    colour: Colour,
    xy: Array,
    yaw: float,
    size: tuple[float, float, float],
    base: float,
    look: tuple[float, ...],
) -> None:
    length, depth, height = size
    scenery.facade_meshes.append(
        box(size, (0, 0, height / 2), colour, Material.FACADE).moved((xy[0], xy[1], base), yaw)
    )
    scenery.facade_rows.append((xy[0], xy[1], yaw, base, *look, length / 2, depth / 2))


def _building(
    rng: np.random.Generator, scenery: Scenery, ground: Ground, xy: Array, yaw: float, length: float, depth: float
) -> None:
    height = float(rng.choice((rng.uniform(4, 8), rng.uniform(8, 16), rng.uniform(16, 38)), p=(0.35, 0.45, 0.2)))
    colour = _WALLS[rng.integers(len(_WALLS))]
    shade = rng.uniform(0.7, 1.2)
    colour = (colour[0] * shade, colour[1] * shade, colour[2] * shade)
    look = (rng.uniform(2.7, 3.6), rng.uniform(1.6, 4.2), rng.uniform(0.35, 0.75), rng.uniform(0.35, 0.7))
    base = float(ground.height(xy[None])[0]) - 0.4
    _block(scenery, colour, xy, yaw, (length, depth, height), base, look)
    roof: Colour = ((0.20, 0.09, 0.06), (0.12, 0.12, 0.13), (0.25, 0.24, 0.22))[rng.integers(3)]
    style = rng.random()
    if height < 9 and style < 0.7:
        rise = rng.uniform(1.5, 3.0)
        ridge, half_length, half_depth = height + rise, length / 2 + 0.3, depth / 2 + 0.4
        vertices = [(-half_length, -half_depth, height - 0.1), (half_length, -half_depth, height - 0.1), (half_length, half_depth, height - 0.1),
                    (-half_length, half_depth, height - 0.1), (-half_length, 0, ridge), (half_length, 0, ridge)]  # fmt: skip
        faces = [(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5), (0, 4, 3), (1, 2, 5)]
        scenery.meshes.append(painted(vertices, faces, roof, Material.CONCRETE).moved((xy[0], xy[1], base), yaw))
    elif height > 14 and style < 0.6:
        _block(scenery, colour, xy, yaw, (0.7 * length, 0.7 * depth, height * rng.uniform(1.15, 1.5)), base, look)
    else:
        scenery.meshes.append(
            box((length + 0.5, depth + 0.5, 0.4), (0, 0, height), roof, Material.CONCRETE).moved(
                (xy[0], xy[1], base), yaw
            )
        )
    front = depth / 2
    for x in np.arange(-length / 2 + 1.5, length / 2 - 1.0, rng.uniform(4, 9)):
        if rng.random() < 0.5:
            scenery.meshes.append(
                box((1.1, 0.12, 2.2), (x, -front - 0.03, 1.5), (0.12, 0.07, 0.04), Material.WOOD).moved(
                    (xy[0], xy[1], base), yaw
                )
            )
        elif height > 7 and rng.random() < 0.6:
            for z in np.arange(3.4, height - 2, 3.2):
                scenery.meshes.append(
                    box((2.2, 0.9, 1.0), (x, -front - 0.45, z), (0.4, 0.4, 0.4), Material.CONCRETE).moved(
                        (xy[0], xy[1], base), yaw
                    )
                )
        else:
            scenery.meshes.append(
                box(
                    (2.6, 0.9, 0.12),
                    (x, -front - 0.45, 3.2),
                    props.AWNINGS[rng.integers(len(props.AWNINGS))],
                    Material.CLOTH,
                ).moved((xy[0], xy[1], base), yaw)
            )


def _line_with_lots(
    rng: np.random.Generator, scenery: Scenery, layout: Layout, ground: Ground, road: Road, side: int
) -> None:
    built_up = rng.uniform(0.35, 0.85)
    s = rng.uniform(0, 6)
    while s < road.length - 6:
        length, depth = rng.uniform(8, 26), rng.uniform(9, 16)
        setback = rng.uniform(0.6, 1.2) if rng.random() < built_up else rng.uniform(3, 8)
        xy, heading = road.at(s + length / 2, side * (road.edge(side) + setback + depth / 2))
        yaw = float(heading[0]) + (0.0 if side > 0 else np.pi)
        middle = xy[0]
        footprint = _corners((middle[0], middle[1], yaw, length, depth))
        samples = np.concatenate((footprint, (footprint + np.roll(footprint, 1, axis=0)) / 2, middle[None]))
        clear = not any(other.within(samples, 0.4).any() for other in layout.roads)
        if clear and scenery.plot.take(middle, yaw, length, depth):
            if rng.random() < built_up:
                _building(rng, scenery, ground, middle, yaw, length - 0.6, depth)
                _front_garden(rng, scenery, ground, road, side, s, length, setback)
            else:
                _open_lot(rng, scenery, ground, middle, yaw, length, depth)
        s += length + (rng.uniform(0, 1.5) if rng.random() < 0.7 else rng.uniform(2, 6))


def _front_garden(
    rng: np.random.Generator,
    scenery: Scenery,
    ground: Ground,
    road: Road,
    side: int,
    s: float,
    length: float,
    setback: float,
) -> None:
    if setback < 2.5 or rng.random() < 0.2:
        return
    at, heading = road.at(s + length / 2, side * (road.edge(side) + 0.45))
    maker: Callable[[np.random.Generator, float], Mesh] = (props.hedge, props.wall)[rng.integers(2)]
    _place(scenery, ground, maker(rng, length * 0.8), at[0], float(heading[0]))
    for _ in range(int(rng.integers(0, 3))):
        spot = road.at(s + rng.uniform(1, length - 1), side * (road.edge(side) + 0.5 * setback + 0.6))[0][0]
        _place(scenery, ground, props.bush(rng, car_sized=False), spot, rng.uniform(0, 6.28))


def _open_lot(
    rng: np.random.Generator, scenery: Scenery, ground: Ground, middle: Array, yaw: float, length: float, depth: float
) -> None:
    """A yard: behind a fence, or open with look-alikes of cars and trucks in it, or with parked cars."""
    forward, left = np.array((np.cos(yaw), np.sin(yaw))), np.array((-np.sin(yaw), np.cos(yaw)))
    front = middle - left * (depth / 2 - 0.5)
    style = rng.random()
    if style < 0.4:
        maker: Callable[[np.random.Generator, float], Mesh] = (props.hedge, props.wall, props.hoarding)[rng.integers(3)]
        _place(scenery, ground, maker(rng, length - 0.5), front, yaw)
    for x in np.arange(-length / 2 + 3, length / 2 - 2.5, 6.5):
        spot = middle + forward * x + left * rng.uniform(-0.2, 0.3) * depth
        kind = rng.random()
        turn = yaw + rng.choice((0.0, np.pi / 2)) + rng.uniform(-0.15, 0.15)
        if kind < 0.2:
            _place(scenery, ground, props.shipping_container(rng), spot, yaw + rng.uniform(-0.1, 0.1))
        elif kind < 0.32:
            _place(scenery, ground, props.skip(rng), spot, turn)
        elif kind < 0.44:
            _place(scenery, ground, props.tarpaulin_heap(rng), spot, turn)
        elif kind < 0.6:
            _place(scenery, ground, props.bush(rng, car_sized=True), spot, turn)
        elif kind < 0.75:
            _place(scenery, ground, props.tree(rng), spot, turn)
        elif style >= 0.4:
            scenery.yards.append((spot, yaw + np.pi / 2 + rng.choice((0.0, np.pi))))


def _furnish(
    rng: np.random.Generator, scenery: Scenery, layout: Layout, ground: Ground, number: int, side: int
) -> None:
    """Stand posts, trees, boxes and shelters on the kerb's third of a pavement; benches and planters along its back."""
    road = layout.roads[number]
    others = [other for index, other in enumerate(layout.roads) if index != number]
    inner, outer = road.kerb(side) + 0.55, road.edge(side) - 0.45
    zebras = [at for index, at in layout.crossings if index == number]
    trees, tall = rng.random() < 0.6, rng.uniform(18, 32)

    def spot(s: float, left: float) -> tuple[Array, float] | None:
        if any(abs(s - at) < 3.5 for at in zebras):
            return None
        xy, heading = road.at(s, side * left)
        if any(other.within(xy, 2.5, of_kerb=True).any() for other in others):
            return None
        return xy[0], float(heading[0]) + (0.0 if side > 0 else np.pi)

    for s in np.arange(rng.uniform(2, 12), road.length, tall):
        if (place := spot(s, inner)) and scenery.plot.take(place[0], place[1], 0.4, 0.4):
            _place(scenery, ground, props.lamp_post(rng), *place)
    for s in np.arange(rng.uniform(4, 12), road.length - 4, rng.uniform(7, 13)):
        if (
            trees
            and (place := spot(s + rng.uniform(-1, 1), inner + 0.1))
            and scenery.plot.take(place[0], place[1], 0.8, 0.8)
        ):
            _place(scenery, ground, props.tree(rng), *place)
    makers: tuple[Callable[[np.random.Generator], Mesh], ...] = (
        props.traffic_sign, props.person_sized_column, props.bollard, props.street_cabinet, props.planter, props.kiosk,
    )  # fmt: skip
    s = rng.uniform(1, 5)
    while s < road.length:
        choice = int(rng.choice(len(makers), p=(0.24, 0.26, 0.22, 0.14, 0.08, 0.06)))
        mesh = makers[choice](rng)
        deep = mesh.size[1] > 1.2
        if not (deep and road.sidewalk < 4.0) and (
            place := spot(s, inner + (float(mesh.size[1]) / 2 - 0.3 if deep else 0.0))
        ):
            count = int(rng.integers(2, 6)) if makers[choice] is props.bollard else 1
            for index in range(count):
                each = spot(s + 1.4 * index, inner) if count > 1 else place
                if each and scenery.plot.take(each[0], each[1], float(mesh.size[0]) + 0.2, float(mesh.size[1])):
                    _place(scenery, ground, mesh, *each)
        s += rng.uniform(3, 12)
    for s in np.arange(rng.uniform(8, 25), road.length - 10, rng.uniform(20, 40)):
        place = spot(s, outer)
        if place is None or not scenery.plot.take(place[0], place[1], 1.9, 0.7):
            continue
        if rng.random() < 0.7:
            _place(scenery, ground, props.bench(rng), *place)
            for x in (-0.45, 0.4):
                seat = place[0] + x * np.array((np.cos(place[1]), np.sin(place[1])))
                scenery.benches.append((seat, place[1] - np.pi / 2))
        else:
            _place(scenery, ground, props.planter(rng), *place)
    at = rng.uniform(90, 190)
    if (place := spot(at, outer - 0.35)) and scenery.plot.take(place[0], place[1], 5.0, 1.6):
        _place(scenery, ground, props.bus_shelter(rng), *place)
        scenery.shelters.append((number, side, at))


def _signals(scenery: Scenery, layout: Layout, ground: Ground) -> None:
    if layout.junction is None:
        return
    rng = np.random.default_rng(0)
    for number, at in layout.crossings:
        road = layout.roads[number]
        middle = road.nearest(layout.roads[0].at(layout.junction, 0.0)[0])[0][0]
        direction = 1 if at < middle else -1
        xy, heading = road.at(at - 2.2 * direction, -direction * (road.kerb(-direction) + 0.4))
        lit: Colour = (0.05, 0.9, 0.3) if number == 0 else (0.9, 0.04, 0.03)
        _place(
            scenery, ground, props.traffic_light(rng, lit), xy[0], float(heading[0]) + (0.0 if direction > 0 else np.pi)
        )


def _skyline(rng: np.random.Generator, scenery: Scenery) -> None:
    """Houses beyond the world's edge, so that the horizon is not bare."""
    for angle in np.arange(0, 2 * np.pi, 0.1):
        if rng.random() < 0.75:
            distance = rng.uniform(215, 330)
            xy = np.array((150 + distance * np.cos(angle), 150 + distance * np.sin(angle)))
            shade = float(rng.uniform(0.2, 0.5))
            look = (3.2, rng.uniform(2, 4), 0.5, 0.5)
            _block(
                scenery,
                (shade, shade, shade),
                xy,
                angle + np.pi / 2,
                (rng.uniform(14, 40), 12.0, rng.uniform(6, 34)),
                -1.0,
                look,
            )


def scenery_mesh(scenery: Scenery) -> Mesh:
    """All triangles, facades first."""
    return merged(scenery.facade_meshes + scenery.meshes)
