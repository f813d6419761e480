"""What stands on the pavements: posts, trees, boxes, benches, shelters, signals."""

from collections.abc import Callable

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.mesh import Colour, Mesh
from avjepa.synth.street.greenery import planter, tree
from avjepa.synth.street.ground import Ground
from avjepa.synth.street.props import (
    bench,
    bollard,
    bus_shelter,
    kiosk,
    lamp_post,
    person_sized_column,
    street_cabinet,
    traffic_light,
    traffic_sign,
)
from avjepa.synth.street.scenery import Scenery, stand
from avjepa.synth.street.streets import Layout


def furnish(rng: np.random.Generator, scenery: Scenery, layout: Layout, ground: Ground, number: int, side: int) -> None:
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
            stand(scenery, ground, lamp_post(rng), *place)
    for s in np.arange(rng.uniform(4, 12), road.length - 4, rng.uniform(7, 13)):
        if (
            trees
            and (place := spot(s + rng.uniform(-1, 1), inner + 0.1))
            and scenery.plot.take(place[0], place[1], 0.8, 0.8)
        ):
            stand(scenery, ground, tree(rng), *place)
    makers: tuple[Callable[[np.random.Generator], Mesh], ...] = (
        traffic_sign, person_sized_column, bollard, street_cabinet, planter, kiosk,
    )  # fmt: skip
    s = rng.uniform(1, 5)
    while s < road.length:
        choice = int(rng.choice(len(makers), p=(0.24, 0.26, 0.22, 0.14, 0.08, 0.06)))
        mesh = makers[choice](rng)
        deep = mesh.size[1] > 1.2
        if not (deep and road.sidewalk < 4.0) and (
            place := spot(s, inner + (float(mesh.size[1]) / 2 - 0.3 if deep else 0.0))
        ):
            count = int(rng.integers(2, 6)) if makers[choice] is bollard else 1
            for index in range(count):
                each = spot(s + 1.4 * index, inner) if count > 1 else place
                if each and scenery.plot.take(each[0], each[1], float(mesh.size[0]) + 0.2, float(mesh.size[1])):
                    stand(scenery, ground, mesh, *each)
        s += rng.uniform(3, 12)
    for s in np.arange(rng.uniform(8, 25), road.length - 10, rng.uniform(20, 40)):
        place = spot(s, outer)
        if place is None or not scenery.plot.take(place[0], place[1], 1.9, 0.7):
            continue
        if rng.random() < 0.7:
            stand(scenery, ground, bench(rng), *place)
            for x in (-0.45, 0.4):
                seat = place[0] + x * np.array((np.cos(place[1]), np.sin(place[1])))
                scenery.benches.append((seat, place[1] - np.pi / 2))
        else:
            stand(scenery, ground, planter(rng), *place)
    at = rng.uniform(90, 190)
    if (place := spot(at, outer - 0.35)) and scenery.plot.take(place[0], place[1], 5.0, 1.6):
        stand(scenery, ground, bus_shelter(rng), *place)
        scenery.shelters.append((number, side, at))


def hang_signals(scenery: Scenery, layout: Layout, ground: Ground) -> None:
    """Stand a traffic light at every stop line."""
    if layout.junction is None:
        return
    rng = np.random.default_rng(0)
    for number, at in layout.crossings:
        road = layout.roads[number]
        middle = road.nearest(layout.roads[0].at(layout.junction, 0.0)[0])[0][0]
        direction = 1 if at < middle else -1
        xy, heading = road.at(at - 2.2 * direction, -direction * (road.kerb(-direction) + 0.4))
        lit: Colour = (0.05, 0.9, 0.3) if number == 0 else (0.9, 0.04, 0.03)
        stand(scenery, ground, traffic_light(rng, lit), xy[0], float(heading[0]) + (0.0 if direction > 0 else np.pi))
