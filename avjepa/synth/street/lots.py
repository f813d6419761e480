"""The lots along a street: houses, yards, what hides them."""

from collections.abc import Callable

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Mesh, merged, painted
from avjepa.synth.street.buildings import building, skyline
from avjepa.synth.street.furniture import furnish, hang_signals
from avjepa.synth.street.greenery import bush, hedge, hoarding, tree, wall
from avjepa.synth.street.ground import Ground, ground_mesh_arrays
from avjepa.synth.street.props import shipping_container, skip, tarpaulin_heap
from avjepa.synth.street.scenery import Scenery, corners_of, stand
from avjepa.synth.street.streets import Layout, Road


def build_scenery(rng: np.random.Generator, layout: Layout, ground: Ground) -> Scenery:
    """Line every road with lots and furniture."""
    scenery = Scenery()
    vertices, faces = ground_mesh_arrays(ground, layout)
    scenery.meshes.append(painted(vertices, faces, (0.2, 0.2, 0.2), Material.GROUND))
    for number, road in enumerate(layout.roads):
        for side in (1, -1):
            furnish(rng, scenery, layout, ground, number, side)
            _line_with_lots(rng, scenery, layout, ground, road, side)
    hang_signals(scenery, layout, ground)
    skyline(rng, scenery)
    return scenery


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
        footprint = corners_of((middle[0], middle[1], yaw, length, depth))
        samples = np.concatenate((footprint, (footprint + np.roll(footprint, 1, axis=0)) / 2, middle[None]))
        clear = not any(other.within(samples, 0.4).any() for other in layout.roads)
        if clear and scenery.plot.take(middle, yaw, length, depth):
            if rng.random() < built_up:
                building(rng, scenery, ground, middle, yaw, length - 0.6, depth)
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
    maker: Callable[[np.random.Generator, float], Mesh] = (hedge, wall)[rng.integers(2)]
    stand(scenery, ground, maker(rng, length * 0.8), at[0], float(heading[0]))
    for _ in range(int(rng.integers(0, 3))):
        spot = road.at(s + rng.uniform(1, length - 1), side * (road.edge(side) + 0.5 * setback + 0.6))[0][0]
        stand(scenery, ground, bush(rng, car_sized=False), spot, rng.uniform(0, 6.28))


def _open_lot(
    rng: np.random.Generator, scenery: Scenery, ground: Ground, middle: Array, yaw: float, length: float, depth: float
) -> None:
    """A yard: behind a fence, or open with look-alikes of cars and trucks in it, or with parked cars."""
    forward, left = np.array((np.cos(yaw), np.sin(yaw))), np.array((-np.sin(yaw), np.cos(yaw)))
    front = middle - left * (depth / 2 - 0.5)
    style = rng.random()
    if style < 0.4:
        maker: Callable[[np.random.Generator, float], Mesh] = (hedge, wall, hoarding)[rng.integers(3)]
        stand(scenery, ground, maker(rng, length - 0.5), front, yaw)
    for x in np.arange(-length / 2 + 3, length / 2 - 2.5, 6.5):
        spot = middle + forward * x + left * rng.uniform(-0.2, 0.3) * depth
        kind = rng.random()
        turn = yaw + rng.choice((0.0, np.pi / 2)) + rng.uniform(-0.15, 0.15)
        if kind < 0.2:
            stand(scenery, ground, shipping_container(rng), spot, yaw + rng.uniform(-0.1, 0.1))
        elif kind < 0.32:
            stand(scenery, ground, skip(rng), spot, turn)
        elif kind < 0.44:
            stand(scenery, ground, tarpaulin_heap(rng), spot, turn)
        elif kind < 0.6:
            stand(scenery, ground, bush(rng, car_sized=True), spot, turn)
        elif kind < 0.75:
            stand(scenery, ground, tree(rng), spot, turn)
        elif style >= 0.4:
            scenery.yards.append((spot, yaw + np.pi / 2 + rng.choice((0.0, np.pi))))


def scenery_mesh(scenery: Scenery) -> Mesh:
    """All triangles, facades first."""
    return merged(scenery.facade_meshes + scenery.meshes)
