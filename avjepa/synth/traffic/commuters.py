"""Vehicles under way: which route each takes, how fast, where it halts."""

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.buses import bendy_bus, bus
from avjepa.synth.bodies.cars import car
from avjepa.synth.bodies.cycles import bicycle, motorcycle
from avjepa.synth.bodies.lorries import semi_tractor, trailer, truck
from avjepa.synth.bodies.mesh import Mesh
from avjepa.synth.street.routes import LaneShift, Route, along_road, turning
from avjepa.synth.street.scenery import Scenery
from avjepa.synth.street.streets import Layout
from avjepa.synth.traffic.actors import Actor, Behaviour
from avjepa.synth.traffic.population import EGO_LENGTH, EGO_WIDTH, Population
from avjepa.synth.traffic.traffic import WARM_UP, Driver


def _routes(layout: Layout, population: Population) -> list[tuple[Route, int, int, int, float]]:
    """(route, road, direction, lane, relative traffic) of every way through the streets."""
    routes = []
    for number, road in enumerate(layout.roads):
        through = layout.kind != "t-junction" or number == 0
        for direction in (1, -1):
            for lane in range(road.lanes):
                shifts = population.lane_shifts.get((number, direction, lane), [])
                if through:
                    routes.append(
                        (
                            along_road(layout, number, direction, lane, shifts),
                            number,
                            direction,
                            lane,
                            1.0 if number == 0 else 0.6,
                        )
                    )
    if layout.junction is None:
        return routes
    for number, other in ((0, 1), (1, 0)):
        for direction in (1, -1):
            if layout.kind == "t-junction" and number == 1 and direction == 1:
                continue
            for onto_direction in (1, -1):
                if layout.kind == "t-junction" and other == 1 and onto_direction == -1:
                    continue
                lanes, onto_lanes = layout.roads[number].lanes, layout.roads[other].lanes
                here = layout.roads[number].at(100, 0)[1][0] + (0 if direction > 0 else np.pi)
                there = layout.roads[other].at(100, 0)[1][0] + (0 if onto_direction > 0 else np.pi)
                left = np.sin(there - here) > 0
                lane, onto_lane = (0, 0) if left else (lanes - 1, onto_lanes - 1)
                if population.lane_shifts.get((number, direction, lane)):
                    continue
                routes.append(
                    (
                        turning(layout, number, direction, lane, other, onto_direction, onto_lane),
                        number,
                        direction,
                        lane,
                        0.35,
                    )
                )
    return routes


def add_traffic(
    rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery, busy: float
) -> None:
    """Put the ego vehicle, buses, cars, trucks and cyclists on their routes."""
    routes = _routes(layout, population)
    ego_choices = [index for index, (_, number, direction, _, _) in enumerate(routes) if number == 0 and direction == 1]
    ego_route = routes[ego_choices[rng.integers(len(ego_choices))]]
    ego_desired = rng.uniform(6.0, 12.0)
    ego_start = rng.uniform(62, 85) - WARM_UP * ego_desired * 0.8
    population.driving.append((None, Driver(ego_route[0], ego_start, ego_desired, EGO_LENGTH, EGO_WIDTH)))
    taken: list[tuple[Array, float]] = [(ego_route[0].at(np.array([ego_start]))[0], 7.0)]
    weights = np.array([weight for *_, weight in routes])

    def spawn(
        route: Route,
        desired: float,
        make: list[tuple[str, Mesh]],
        behaviour: Behaviour = "driven",
        halts: list[tuple[float, float]] | None = None,
        near: float | None = None,
    ) -> None:
        lengths = [float(mesh.size[0]) for _, mesh in make]
        for _ in range(8):
            start = rng.uniform(15, route.length - 30) if near is None else near + rng.uniform(-4, 4)
            spots = [route.at(np.array([start - d]))[0] for d in np.arange(0, sum(lengths), 4.0)]
            clear = all(np.linalg.norm(spot - other) > reach + 4.0 for spot in spots for other, reach in taken)
            if (
                clear
                and abs(start + lengths[0] / 2 - route.stop_line) > 1
                and not (route.stop_line < start < route.stop_line + 40)
            ):
                break
        else:
            return
        taken.extend((spot, 3.5) for spot in spots)
        leader = len(population.driving)
        distance = 0.0
        for index, (category, mesh) in enumerate(make):
            if index:
                distance += (lengths[index - 1] + lengths[index]) / 2 - 0.35
            width = max(float(mesh.size[1]), 0.7)
            driver = Driver(
                route, start, desired, lengths[index], width, list(halts or []), leader if index else None, distance
            )
            population.driving.append((Actor(category, (mesh,), behaviour), driver))

    for number, side, at in scenery.shelters:
        road = layout.roads[number]
        if rng.random() < 0.55 and (layout.kind != "t-junction" or number == 0):
            direction = -side
            stop = at if direction > 0 else road.length - at
            shifts = population.lane_shifts.get((number, direction, road.lanes - 1), [])
            route = along_road(layout, number, direction, road.lanes - 1, shifts, drift=0.3)
            sections = (
                list(zip(("vehicle.bus.bendy",) * 2, bendy_bus(rng), strict=True))
                if rng.random() < 0.3
                else [("vehicle.bus.rigid", bus(rng))]
            )
            spawn(
                route, rng.uniform(7, 10), sections, halts=[(stop, rng.uniform(2, 25))], near=stop - rng.uniform(15, 45)
            )
            if road.lanes > 1 and not shifts:
                passing = along_road(
                    layout, number, direction, road.lanes - 1, [LaneShift(stop - 20, stop + 14, road.lane_width)]
                )
                spawn(passing, rng.uniform(9, 13), [("vehicle.car", car(rng))], near=stop - rng.uniform(45, 70))
    for _ in range(int(rng.integers(11, 24) * busy)):
        route, number, direction, lane, _ = routes[rng.choice(len(routes), p=weights / weights.sum())]
        kind = rng.random()
        if kind < 0.72:
            make = [("vehicle.car", car(rng))]
        elif kind < 0.86:
            make = [("vehicle.truck", truck(rng))]
        elif kind < 0.92:
            make = [("vehicle.truck", semi_tractor(rng)), ("vehicle.trailer", trailer(rng))]
        else:
            make = [("vehicle.bus.rigid", bus(rng))]
        shifts = population.lane_shifts.get((number, direction, lane), [])
        road = layout.roads[number]
        if (
            road.lanes > 1
            and not shifts
            and kind < 0.72
            and rng.random() < 0.3
            and layout.kind in ("straight", "curve")
        ):
            begin = rng.uniform(60, 160)
            overtaking = LaneShift(begin, begin + rng.uniform(25, 60), road.lane_width * (1 if lane > 0 else -1))
            route = along_road(layout, number, direction, lane, [overtaking])
        spawn(route, rng.uniform(6.5, 13.0), make)
    for _ in range(int(rng.integers(2, 7))):
        number = 0 if layout.kind == "t-junction" else int(rng.integers(len(layout.roads)))
        direction = int(rng.choice((-1, 1)))
        road = layout.roads[number]
        shifts = population.lane_shifts.get((number, direction, road.lanes - 1), [])
        if rng.random() < 0.6:
            route = along_road(layout, number, direction, road.lanes - 1, shifts, drift=road.lane_width / 2 - 0.5)
            spawn(route, rng.uniform(3.0, 6.0), [("vehicle.bicycle", bicycle(rng, rider=True))], "ridden")
        else:
            route = along_road(layout, number, direction, road.lanes - 1, shifts, drift=rng.uniform(-0.5, 0.8))
            spawn(route, rng.uniform(7.0, 13.0), [("vehicle.motorcycle", motorcycle(rng, rider=True))], "ridden")
