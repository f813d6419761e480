"""Set a street in motion: simulate everybody, keep the trajectories."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array
from avjepa.synth.street.ground import Ground
from avjepa.synth.street.roadside import add_road_works, drop_cones, park_vehicles, stand_cycles
from avjepa.synth.street.scenery import Scenery
from avjepa.synth.street.streets import Layout
from avjepa.synth.traffic.actors import Actor, Motion
from avjepa.synth.traffic.commuters import add_traffic
from avjepa.synth.traffic.crowd import add_people
from avjepa.synth.traffic.population import Population
from avjepa.synth.traffic.traffic import TIME_STEP, WARM_UP, Obstacles, Signals, simulate


@dataclass(frozen=True)
class Cast:
    """The annotated actors with their motion, and the ego vehicle's."""

    actors: tuple[Actor, ...]
    motion: Motion
    moves: NDArray[np.bool_]
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
    obstacles = Obstacles(
        np.concatenate((fixed, on_foot), axis=1), np.concatenate((spot_radii, np.full(len(walks), 0.45)))
    )
    drivers = [driver for _, driver in population.driving]
    xy, heading = simulate(drivers, obstacles, _switch_signals(rng, layout, duration), duration)

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


def _switch_signals(rng: np.random.Generator, layout: Layout, duration: float) -> Signals:
    if layout.junction is None:
        return Signals({})
    change = rng.uniform(1.5, duration + 3)
    main_first = rng.random() < 0.6
    first, second = [(-1e9, change)], [(change + 2.0, 1e9)]
    return Signals({0: first if main_first else second, 1: second if main_first else first})


def populate(rng: np.random.Generator, layout: Layout, scenery: Scenery, duration: float) -> Population:
    """Fill a street: works first, then parked things, people and traffic."""
    population = Population()
    busy = rng.uniform(0.55, 1.25)
    works = add_road_works(rng, population, layout, scenery) if rng.random() < 0.6 else None
    park_vehicles(rng, population, layout, scenery, works)
    stand_cycles(rng, population, layout, scenery)
    add_people(rng, population, layout, scenery, duration, busy)
    add_traffic(rng, population, layout, scenery, busy)
    drop_cones(rng, population, layout)
    return population
