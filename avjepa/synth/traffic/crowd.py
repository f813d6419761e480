"""People on the street: walking, crossing, waiting, sitting."""

import numpy as np

from avjepa.synth.bodies.people import Looks, person, seated, walking_poses
from avjepa.synth.street.scenery import Scenery
from avjepa.synth.street.streets import Layout
from avjepa.synth.traffic.actors import Actor
from avjepa.synth.traffic.population import Population
from avjepa.synth.traffic.walking import Walk, along_pavement, over_crossing


def add_people(
    rng: np.random.Generator, population: Population, layout: Layout, scenery: Scenery, duration: float, busy: float
) -> None:
    """Put people on pavements, crossings, benches and at bus stops."""

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
