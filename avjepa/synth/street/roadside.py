"""What stands along the street for the whole scene: road works, parked vehicles and cycles, stray cones."""

import numpy as np

from avjepa.synth.bodies.buses import bus
from avjepa.synth.bodies.cars import car
from avjepa.synth.bodies.cycles import bicycle, motorcycle
from avjepa.synth.bodies.lorries import car_trailer, trailer, truck
from avjepa.synth.bodies.mesh import Mesh
from avjepa.synth.bodies.people import Looks, person
from avjepa.synth.street.construction import construction_vehicle
from avjepa.synth.street.props import barrier, traffic_cone
from avjepa.synth.street.routes import LaneShift
from avjepa.synth.street.scenery import Scenery
from avjepa.synth.street.streets import Layout
from avjepa.synth.traffic.population import Population


def _junction_free(layout: Layout, number: int, s: float, margin: float) -> bool:
    others = [road for index, road in enumerate(layout.roads) if index != number]
    xy = layout.roads[number].at(s, 0.0)[0]
    zebra = any(index == number and abs(at - s) < margin for index, at in layout.crossings)
    return not zebra and not any(road.within(xy, margin, of_kerb=True)[0] for road in others)


def add_road_works(
    rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery
) -> tuple[int, int, float, float] | None:
    """Close a stretch of parking strip, with the outer lane when there are two; returns (road, side, start, end)."""
    number = 0
    road = layout.roads[number]
    side = int(rng.choice((-1, 1)))
    direction = -side
    length = rng.uniform(14, 26)
    start = next(
        (
            s
            for s in rng.uniform(70, 190, 12)
            if all(_junction_free(layout, number, s + d, 8.0) for d in np.linspace(-12, length + 12, 9))
        ),
        None,
    )
    parks = road.parking[0 if side > 0 else 1]
    if start is None or (road.lanes == 1 and not parks):
        return None
    end = start + length
    inner = (road.lanes - 1) * road.lane_width + 0.25 if road.lanes > 1 else road.lanes * road.lane_width + 0.35
    style = int(rng.integers(3))
    for s in np.arange(start, end, 2.9):
        xy, heading = road.at(s + 1.3, side * inner)
        population.place(
            "movable_object.barrier",
            barrier(rng, style),
            "placed",
            xy[0],
            float(heading[0]) + np.pi / 2 + rng.normal(0, 0.03),
        )
    taper = np.linspace(0, 1, int(rng.integers(4, 7)))
    kerb = road.kerb(side) - 0.5
    for base, sign in ((start - 1.0, -1), (end + 1.0, 1)):
        for share in taper:
            xy, heading = road.at(base + sign * 9 * share, side * (inner + (kerb - inner) * share))
            population.place("movable_object.trafficcone", traffic_cone(rng), "placed", xy[0], rng.uniform(0, 6.28))
    xy, heading = road.at(start + rng.uniform(0.4, 0.6) * length, side * (inner + kerb + 0.5) / 2)
    machine = construction_vehicle(rng)
    population.place(
        "vehicle.construction",
        machine,
        "parked",
        xy[0],
        float(heading[0]) + rng.choice((0, np.pi)) + rng.normal(0, 0.08),
    )
    for _ in range(int(rng.integers(1, 4))):
        spot = rng.uniform(start + 1, end - 1)
        if abs(spot - road.nearest(xy[0])[0][0]) > 0.6 * machine.size[0]:
            at, _ = road.at(spot, side * rng.uniform(inner + 0.7, kerb))
            worker = person(Looks(rng, worker=True)).on_ground()
            population.place("human.pedestrian.construction_worker", worker, "on_foot", at[0], rng.uniform(0, 6.28))
    if road.lanes > 1:
        route_start = start if direction > 0 else road.length - end
        shift = LaneShift(route_start - 12, route_start + length + 12, road.lane_width)
        population.lane_shifts[(number, direction, road.lanes - 1)] = [shift]
    return number, side, start - 12, end + 12


def _heavy_parked(rng: np.random.Generator) -> tuple[str, Mesh]:
    kind = rng.random()
    if kind < 0.45:
        return "vehicle.truck", truck(rng)
    if kind < 0.65:
        return "vehicle.trailer", trailer(rng) if rng.random() < 0.5 else car_trailer(rng)
    if kind < 0.85:
        return "vehicle.construction", construction_vehicle(rng)
    return "vehicle.bus.rigid", bus(rng)


def park_vehicles(
    rng: np.random.Generator,
    population: Population,
    layout: Layout,
    scenery: Scenery,
    works: tuple[int, int, float, float] | None,
) -> None:
    """Fill parking strips and yards."""
    for number, road in enumerate(layout.roads):
        for side in (1, -1):
            if not road.parking[0 if side > 0 else 1]:
                continue
            occupancy = rng.uniform(0.25, 0.8)
            s = rng.uniform(4, 10)
            while s < road.length - 8:
                category, mesh, length = "vehicle.car", None, 5.8
                if rng.random() < 0.06:
                    category, mesh = _heavy_parked(rng)
                    length = float(mesh.size[0]) + 1.2
                middle = s + length / 2
                at_works = (
                    works is not None and works[:2] == (number, side) and works[2] - length < middle < works[3] + length
                )
                at_stop = any(stop[:2] == (number, side) and abs(stop[2] - middle) < 14 for stop in scenery.shelters)
                if (
                    rng.random() < occupancy
                    and not at_works
                    and not at_stop
                    and _junction_free(layout, number, middle, 4.5 + length / 2)
                ):
                    mesh = car(rng) if mesh is None else mesh
                    inset = max(float(mesh.size[1]) / 2 + 0.15, 1.1) + rng.uniform(-0.05, 0.2)
                    xy, heading = road.at(middle + rng.uniform(-0.3, 0.3), side * (road.kerb(side) - inset))
                    against = 0.0 if (side < 0) != (rng.random() < 0.06) else np.pi
                    population.place(
                        category, mesh, "parked", xy[0], float(heading[0]) + against + rng.normal(0, 0.025)
                    )
                s += length
    for spot, yaw in scenery.yards:
        if rng.random() < 0.6:
            category, mesh = ("vehicle.car", car(rng)) if rng.random() < 0.7 else _heavy_parked(rng)
            if float(mesh.size[0]) < 7.5:
                population.place(category, mesh, "parked", spot, yaw + rng.normal(0, 0.05))


def stand_cycles(rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery) -> None:
    """Lean bicycles and motorcycles on the pavements."""
    for number, road in enumerate(layout.roads):
        for _ in range(int(rng.integers(2, 5))):
            side = int(rng.choice((-1, 1)))
            s = rng.uniform(0.25, 0.75) * road.length
            motor = rng.random() < 0.35
            for index in range(int(rng.integers(1, 4))):
                xy, heading = road.at(s + 0.9 * index, side * (road.kerb(side) + 0.75))
                yaw = float(heading[0]) + np.pi / 2 + rng.normal(0, 0.12)
                if not _junction_free(layout, number, s, 5.0) or not scenery.plot.take(xy[0], yaw, 1.4, 0.6):
                    continue
                mesh = (
                    (motorcycle(rng, rider=False) if motor else bicycle(rng, rider=False))
                    .rolled(rng.uniform(-0.12, 0.12))
                    .on_ground()
                )
                population.place("vehicle.motorcycle" if motor else "vehicle.bicycle", mesh, "unridden", xy[0], yaw)


def drop_cones(rng: np.random.Generator, population: Population, layout: Layout) -> None:
    """Leave stray cones and short rows of barriers along the kerbs."""
    for _ in range(int(rng.integers(0, 4))):
        road = layout.roads[int(rng.integers(len(layout.roads)))]
        side = int(rng.choice((-1, 1)))
        s = rng.uniform(0.3, 0.7) * road.length
        for index in range(int(rng.integers(1, 4))):
            xy, _ = road.at(s + 1.5 * index, side * (road.kerb(side) + 0.3))
            population.place("movable_object.trafficcone", traffic_cone(rng), "placed", xy[0], rng.uniform(0, 6.28))
        if rng.random() < 0.4:
            style = int(rng.integers(3))
            for index in range(int(rng.integers(2, 5))):
                xy, heading = road.at(s + 5 + 2.8 * index, side * (road.edge(side) - 0.3))
                population.place(
                    "movable_object.barrier", barrier(rng, style), "placed", xy[0], float(heading[0]) + np.pi / 2
                )
