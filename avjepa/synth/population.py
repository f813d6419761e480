"""Who is on the street, where, and what they will do."""

from dataclasses import dataclass, field

import numpy as np

from avjepa.synth import props, traffic, vehicles
from avjepa.synth.actors import Actor, Behaviour, Motion
from avjepa.synth.construction import construction_vehicle
from avjepa.synth.mesh import Mesh
from avjepa.synth.people import Looks, bicycle, motorcycle, person, seated, walking_poses
from avjepa.synth.routes import LaneShift, Route, along_road, turning
from avjepa.synth.scenery import Scenery
from avjepa.synth.streets import Array, Ground, Layout
from avjepa.synth.traffic import TIME_STEP, WARM_UP, Driver
from avjepa.synth.walking import Walk, along_pavement, over_crossing

EGO_LENGTH, EGO_WIDTH = 4.08, 1.73
"""The nuScenes recording vehicle, a Renault Zoe (m)."""


@dataclass
class _Placed:
    actor: Actor
    xy: Array
    yaw: float


@dataclass
class Population:
    """Everyone who takes part, before the street is set in motion."""

    standing: list[_Placed] = field(default_factory=list)
    walking: list[tuple[Actor, Walk]] = field(default_factory=list)
    driving: list[tuple[Actor | None, Driver]] = field(default_factory=list)
    """The first is the ego vehicle, which is nobody's label."""
    lane_shifts: dict[tuple[int, int, int], list[LaneShift]] = field(default_factory=dict)
    """Detours around lasting obstacles, by road, direction and lane."""

    def place(self, category: str, mesh: Mesh, behaviour: Behaviour, xy: Array, yaw: float) -> None:
        """Stand something somewhere for the whole scene."""
        self.standing.append(_Placed(Actor(category, (mesh,), behaviour), xy, yaw))


def populate(rng: np.random.Generator, layout: Layout, scenery: Scenery, duration: float) -> Population:
    """Fill a street: works first, then parked things, people and traffic."""
    population = Population()
    busy = rng.uniform(0.55, 1.25)
    works = _road_works(rng, population, layout, scenery) if rng.random() < 0.6 else None
    _park(rng, population, layout, scenery, works)
    _stand_cycles(rng, population, layout, scenery)
    _people(rng, population, layout, scenery, duration, busy)
    _traffic(rng, population, layout, scenery, busy)
    _loose_cones(rng, population, layout)
    return population


def _junction_free(layout: Layout, number: int, s: float, margin: float) -> bool:
    others = [road for index, road in enumerate(layout.roads) if index != number]
    xy = layout.roads[number].at(s, 0.0)[0]
    zebra = any(index == number and abs(at - s) < margin for index, at in layout.crossings)
    return not zebra and not any(road.within(xy, margin, of_kerb=True)[0] for road in others)


def _road_works(
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
            if all(_junction_free(layout, number, s + d, 8) for d in np.linspace(-12, length + 12, 9))
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
            props.barrier(rng, style),
            "placed",
            xy[0],
            float(heading[0]) + np.pi / 2 + rng.normal(0, 0.03),
        )
    taper = np.linspace(0, 1, int(rng.integers(4, 7)))
    kerb = road.kerb(side) - 0.5
    for base, sign in ((start - 1.0, -1), (end + 1.0, 1)):
        for share in taper:
            xy, heading = road.at(base + sign * 9 * share, side * (inner + (kerb - inner) * share))
            population.place(
                "movable_object.trafficcone", props.traffic_cone(rng), "placed", xy[0], rng.uniform(0, 6.28)
            )
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
        return "vehicle.truck", vehicles.truck(rng)
    if kind < 0.65:
        return "vehicle.trailer", vehicles.trailer(rng) if rng.random() < 0.5 else vehicles.car_trailer(rng)
    if kind < 0.85:
        return "vehicle.construction", construction_vehicle(rng)
    return "vehicle.bus.rigid", vehicles.bus(rng)


def _park(
    rng: np.random.Generator,
    population: Population,
    layout: Layout,
    scenery: Scenery,
    works: tuple[int, int, float, float] | None,
) -> None:
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
                    mesh = vehicles.car(rng) if mesh is None else mesh
                    inset = max(float(mesh.size[1]) / 2 + 0.15, 1.1) + rng.uniform(-0.05, 0.2)
                    xy, heading = road.at(middle + rng.uniform(-0.3, 0.3), side * (road.kerb(side) - inset))
                    against = 0.0 if (side < 0) != (rng.random() < 0.06) else np.pi
                    population.place(
                        category, mesh, "parked", xy[0], float(heading[0]) + against + rng.normal(0, 0.025)
                    )
                s += length
    for spot, yaw in scenery.yards:
        if rng.random() < 0.6:
            category, mesh = ("vehicle.car", vehicles.car(rng)) if rng.random() < 0.7 else _heavy_parked(rng)
            if scenery.plot and float(mesh.size[0]) < 7.5:
                population.place(category, mesh, "parked", spot, yaw + rng.normal(0, 0.05))


def _stand_cycles(rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery) -> None:
    for number, road in enumerate(layout.roads):
        for _ in range(int(rng.integers(2, 5))):
            side = int(rng.choice((-1, 1)))
            s = rng.uniform(0.25, 0.75) * road.length
            motor = rng.random() < 0.35
            for index in range(int(rng.integers(1, 4))):
                xy, heading = road.at(s + 0.9 * index, side * (road.kerb(side) + 0.75))
                yaw = float(heading[0]) + np.pi / 2 + rng.normal(0, 0.12)
                if not _junction_free(layout, number, s, 5) or not scenery.plot.take(xy[0], yaw, 1.4, 0.6):
                    continue
                mesh = (
                    (motorcycle(rng, rider=False) if motor else bicycle(rng, rider=False))
                    .rolled(rng.uniform(-0.12, 0.12))
                    .on_ground()
                )
                population.place("vehicle.motorcycle" if motor else "vehicle.bicycle", mesh, "unridden", xy[0], yaw)


def _people(
    rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery, duration: float, busy: float
) -> None:
    def walker() -> tuple[Actor, float]:
        child = rng.random() < 0.12
        speed = float(np.clip(rng.normal(1.35, 0.25), 0.7, 2.1)) if rng.random() < 0.95 else rng.uniform(2.4, 3.2)
        category = "human.pedestrian.child" if child else "human.pedestrian.adult"
        return Actor(category, tuple(walking_poses(Looks(rng, child=child), speed)), "on_foot"), speed

    main_share = 1.0 if len(layout.roads) == 1 else 0.7
    for _ in range(int(rng.integers(16, 34) * busy)):
        number = 0 if rng.random() < main_share else 1
        actor, speed = walker()
        walk = along_pavement(rng, layout, number, speed, duration)
        population.walking.append((actor, walk))
        if rng.random() < 0.2:
            friend, _ = walker()
            aside = np.array([-walk.points[-1, 1] + walk.points[0, 1], walk.points[-1, 0] - walk.points[0, 0]])
            aside /= np.linalg.norm(aside)
            population.walking.append(
                (friend, Walk(walk.points + 0.65 * aside, walk.speed, walk.departure, walk.pause))
            )
    for number, at in layout.crossings:
        for _ in range(int(rng.integers(1, 5))):
            actor, speed = walker()
            population.walking.append((actor, over_crossing(rng, layout, number, at, speed, duration)))
    for _ in range(int(rng.integers(0, 3))):
        actor, speed = walker()
        population.walking.append(
            (actor, over_crossing(rng, layout, 0, float(rng.uniform(90, 200)), 1.2 * speed, duration))
        )
    for seat, yaw in scenery.benches:
        if rng.random() < 0.22:
            population.place("human.pedestrian.adult", seated(Looks(rng), 0.47).on_ground(), "sitting", seat, yaw)
    for number, side, at in scenery.shelters:
        road = layout.roads[number]
        for _ in range(int(rng.integers(0, 5))):
            xy, heading = road.at(
                at + rng.uniform(-3, 3), side * rng.uniform(road.kerb(side) + 0.5, road.edge(side) - 1.3)
            )
            if scenery.plot.take(xy[0], 0.0, 0.5, 0.5):
                population.place(
                    "human.pedestrian.adult",
                    person(Looks(rng)).on_ground(),
                    "on_foot",
                    xy[0],
                    float(heading[0]) - side * np.pi / 2 + rng.normal(0, 0.8),
                )
    for _ in range(int(rng.integers(1, 5) * busy)):
        road = layout.roads[int(rng.integers(len(layout.roads)))]
        side = int(rng.choice((-1, 1)))
        middle, _ = road.at(rng.uniform(0.3, 0.7) * road.length, side * (road.edge(side) - 0.7))
        for angle in rng.uniform(0, 2 * np.pi) + np.arange(int(rng.integers(1, 4))) * 2.1:
            xy = middle[0] + 0.45 * np.array((np.cos(angle), np.sin(angle)))
            if scenery.plot.take(xy, 0.0, 0.4, 0.4):
                population.place(
                    "human.pedestrian.adult",
                    person(Looks(rng)).on_ground(),
                    "on_foot",
                    xy,
                    angle + np.pi + rng.normal(0, 0.3),
                )


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


def _traffic(rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery, busy: float) -> None:
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
                list(zip(("vehicle.bus.bendy",) * 2, vehicles.bendy_bus(rng), strict=True))
                if rng.random() < 0.3
                else [("vehicle.bus.rigid", vehicles.bus(rng))]
            )
            spawn(
                route, rng.uniform(7, 10), sections, halts=[(stop, rng.uniform(2, 25))], near=stop - rng.uniform(15, 45)
            )
            if road.lanes > 1 and not shifts:
                passing = along_road(
                    layout, number, direction, road.lanes - 1, [LaneShift(stop - 20, stop + 14, road.lane_width)]
                )
                spawn(
                    passing, rng.uniform(9, 13), [("vehicle.car", vehicles.car(rng))], near=stop - rng.uniform(45, 70)
                )
    for _ in range(int(rng.integers(11, 24) * busy)):
        route, number, direction, lane, _ = routes[rng.choice(len(routes), p=weights / weights.sum())]
        kind = rng.random()
        if kind < 0.72:
            make = [("vehicle.car", vehicles.car(rng))]
        elif kind < 0.86:
            make = [("vehicle.truck", vehicles.truck(rng))]
        elif kind < 0.92:
            make = [("vehicle.truck", vehicles.semi_tractor(rng)), ("vehicle.trailer", vehicles.trailer(rng))]
        else:
            make = [("vehicle.bus.rigid", vehicles.bus(rng))]
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


def _loose_cones(rng: np.random.Generator, population: Population, layout: Layout) -> None:
    for _ in range(int(rng.integers(0, 4))):
        road = layout.roads[int(rng.integers(len(layout.roads)))]
        side = int(rng.choice((-1, 1)))
        s = rng.uniform(0.3, 0.7) * road.length
        for index in range(int(rng.integers(1, 4))):
            xy, _ = road.at(s + 1.5 * index, side * (road.kerb(side) + 0.3))
            population.place(
                "movable_object.trafficcone", props.traffic_cone(rng), "placed", xy[0], rng.uniform(0, 6.28)
            )
        if rng.random() < 0.4:
            style = int(rng.integers(3))
            for index in range(int(rng.integers(2, 5))):
                xy, heading = road.at(s + 5 + 2.8 * index, side * (road.edge(side) - 0.3))
                population.place(
                    "movable_object.barrier", props.barrier(rng, style), "placed", xy[0], float(heading[0]) + np.pi / 2
                )


@dataclass(frozen=True)
class Cast:
    """The annotated actors with their motion, and the ego vehicle's."""

    actors: tuple[Actor, ...]
    motion: Motion
    moves: np.ndarray
    """(actor,): false for what keeps its place and pose through the whole scene."""
    ego_xy: Array
    """(time, 2), rear axle."""
    ego_yaw: Array
    """(time,), continuous."""


def set_in_motion(
    rng: np.random.Generator, population: Population, layout: Layout, ground: Ground, duration: float
) -> Cast:
    """Simulate everybody from time 0 to ``duration`` seconds."""
    steps = round((WARM_UP + duration) / TIME_STEP) + 2
    begin = round(WARM_UP / TIME_STEP)
    times = (np.arange(steps) - begin) * TIME_STEP
    walks = [walk.at(times) for _, walk in population.walking]
    still = np.array([placed.xy for placed in population.standing]).reshape(-1, 2)
    radii = [min(placed.actor.size[:2]) / 2 for placed in population.standing]
    spots, spot_radii = [], []
    for placed, xy, radius in zip(population.standing, still, radii, strict=True):
        reach = placed.actor.size[1] / 2 - radius
        for along in np.linspace(-reach, reach, max(1, int(np.ceil(reach / max(radius, 0.1))))):
            spots.append(xy + along * np.array((np.cos(placed.yaw), np.sin(placed.yaw))))
            spot_radii.append(radius)
    fixed = np.broadcast_to(np.array(spots).reshape(-1, 2), (steps, len(spots), 2))
    on_foot = np.stack([xy for xy, _, _ in walks], axis=1) if walks else np.zeros((steps, 0, 2))
    obstacles = traffic.Obstacles(
        np.concatenate((fixed, on_foot), axis=1), np.concatenate((spot_radii, np.full(len(walks), 0.45)))
    )
    drivers = [driver for _, driver in population.driving]
    xy, heading = traffic.simulate(drivers, obstacles, _signals(rng, layout, duration), duration)

    actors: list[Actor] = [placed.actor for placed in population.standing]
    tracks = [np.broadcast_to(placed.xy, (len(xy), 2)) for placed in population.standing]
    yaws = [np.full(len(xy), placed.yaw) for placed in population.standing]
    stages = [np.zeros(len(xy)) for _ in population.standing]
    for (actor, _), (walk_xy, walk_yaw, stage) in zip(population.walking, walks, strict=True):
        actors.append(actor)
        tracks.append(walk_xy[begin:])
        yaws.append(walk_yaw[begin:])
        stages.append(stage[begin:])
    for index, (driven, _) in enumerate(population.driving):
        if driven is not None:
            actors.append(driven)
            tracks.append(xy[:, index])
            yaws.append(heading[:, index])
            stages.append(np.zeros(len(xy)))
    places = np.stack(tracks, axis=1)
    heights = np.stack([ground.standing_height(track) for track in places])
    # a kerb is stepped over within half a second, not within one step of the simulation
    kernel = np.ones(5) / 5
    padded = np.pad(heights, ((2, 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
    motion = Motion(
        TIME_STEP, np.concatenate((places, smooth[..., None]), axis=2), np.stack(yaws, axis=1), np.stack(stages, axis=1)
    )
    moves = np.arange(len(actors)) >= len(population.standing)
    rear_axle = xy[:, 0] - 1.25 * np.column_stack((np.cos(heading[:, 0]), np.sin(heading[:, 0])))
    return Cast(tuple(actors), motion, moves, rear_axle, heading[:, 0])


def _signals(rng: np.random.Generator, layout: Layout, duration: float) -> traffic.Signals:
    if layout.junction is None:
        return traffic.Signals({})
    change = rng.uniform(1.5, duration + 3)
    main_first = rng.random() < 0.6
    first, second = [(-1e9, change)], [(change + 2.0, 1e9)]
    return traffic.Signals({0: first if main_first else second, 1: second if main_first else first})
