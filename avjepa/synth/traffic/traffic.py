"""Vehicles that follow their routes: they keep their distance, wait at lights and stops, yield to who is in front."""

from dataclasses import dataclass, field

import numpy as np

from avjepa.synth.arrays import Array
from avjepa.synth.street.routes import Route, Routes

TIME_STEP = 0.1
WARM_UP = 4.0
"""Seconds that are simulated before time 0, so that no scene begins with a jolt."""


@dataclass
class Driver:
    """A vehicle on a route."""

    route: Route
    start: float
    """Distance of the vehicle's middle from the route's start, m, at the beginning of the warm-up."""
    desired: float
    """Speed on a free road, m/s."""
    length: float
    width: float
    halts: list[tuple[float, float]] = field(default_factory=list)
    """(position, time until which the vehicle waits there, s)."""
    towed_by: int | None = None
    """Index of the driver that pulls this vehicle; it follows at the given distance on the same route."""
    tow_distance: float = 0.0


@dataclass(frozen=True)
class Obstacles:
    """Discs that move as given, not as simulated: people on foot, parked vehicles, cones."""

    xy: Array
    """(time, disc, 2), from the beginning of the warm-up."""
    radius: Array


@dataclass(frozen=True)
class Signals:
    """When each road has green: (road) -> list of intervals in seconds since time 0."""

    green: dict[int, list[tuple[float, float]]]

    def is_green(self, road: int, time: float) -> bool:
        """Whether vehicles on ``road`` may enter the junction."""
        return any(start <= time < end for start, end in self.green.get(road, [(-1e9, 1e9)]))


def simulate(drivers: list[Driver], obstacles: Obstacles, signals: Signals, duration: float) -> tuple[Array, Array]:
    """Drive with the intelligent driver model (Treiber et al. 2000, Phys. Rev. E 62).

    Returns:
        xy of the middle between the axles (time, driver, 2) and heading (time, driver), continuous, from time 0 on in
        steps of ``TIME_STEP``.
    """
    count = len(drivers)
    position = np.array([driver.start for driver in drivers])
    for index, driver in enumerate(drivers):
        if driver.towed_by is not None:
            position[index] = drivers[driver.towed_by].start - driver.tow_distance
    length = np.array([driver.length for driver in drivers])
    width = np.array([driver.width for driver in drivers])
    speed = np.array([0.8 * driver.desired for driver in drivers])
    train = np.array([index if driver.towed_by is None else driver.towed_by for index, driver in enumerate(drivers)])
    leads = np.flatnonzero(train == np.arange(count))
    discs = [max(2, int(np.ceil(driver.length / driver.width))) for driver in drivers]
    owner = np.repeat(np.arange(count), discs)
    spread = np.concatenate([np.linspace(-0.5, 0.5, number) for number in discs]) * (length - width)[owner]
    ahead = np.arange(0.0, 46.0, 1.0)
    half_base = 0.3 * length
    routes = Routes([driver.route for driver in drivers])
    desired = np.array([driver.desired for driver in drivers])
    steps = round((WARM_UP + duration) / TIME_STEP) + 2
    trace_xy, trace_heading = np.empty((steps, count, 2)), np.empty((steps, count))

    for tick in range(steps):
        time = tick * TIME_STEP - WARM_UP
        axles = routes.at(np.column_stack((position + half_base, position - half_base)))
        front, rear = axles[:, 0], axles[:, 1]
        heading = np.arctan2(front[:, 1] - rear[:, 1], front[:, 0] - rear[:, 0])
        middle = (front + rear) / 2
        trace_xy[tick], trace_heading[tick] = middle, heading
        direction = np.column_stack((np.cos(heading), np.sin(heading)))
        others = obstacles.xy[min(tick, len(obstacles.xy) - 1)]
        disc_xy = np.concatenate((middle[owner] + spread[:, None] * direction[owner], others))
        disc_radius = np.concatenate((width[owner] / 2, obstacles.radius))
        disc_train = np.concatenate((train[owner], np.full(len(others), -1)))
        disc_velocity = np.concatenate(((speed[:, None] * direction)[owner], np.zeros((len(others), 2))))
        noses = position + length / 2
        paths = routes.at(noses[:, None] + ahead)
        # what lies beside or behind the stretch ahead cannot block it
        close = disc_train != np.arange(count)[:, None]
        for places, low, high in zip(disc_xy.T, paths.min(1).T, paths.max(1).T, strict=True):
            close &= (places > low[:, None] - 4.0) & (places < high[:, None] + 4.0)
        gaps, leader_speeds = np.full(count, np.inf), np.zeros(count)
        for i in leads:
            driver, path, nose, near = drivers[i], paths[i], noses[i], np.flatnonzero(close[i])
            offset = path[:, None] - disc_xy[near][None]
            squared = offset[..., 0] ** 2 + offset[..., 1] ** 2
            blocked = squared < (width[i] / 2 + disc_radius[near] + 0.15) ** 2
            gap, leader_speed = np.inf, 0.0
            if blocked.any():
                first = int(np.argmax(blocked.any(1)))
                which = near[blocked[first]]
                gap = max(ahead[first] - 0.3, 0.05)
                tangent = path[first] - path[first - 1] if first else direction[i]
                leader_speed = max(0.0, float((disc_velocity[which] @ (tangent / np.linalg.norm(tangent))).min()))
            halts = [at for at, until in driver.halts if time < until and at > position[i] - 1.0]
            stops = [at + length[i] / 2 for at in halts]
            if not signals.is_green(driver.route.signal, time) and nose <= driver.route.stop_line + 0.5:
                stops.append(driver.route.stop_line)
            for stop in stops:
                if stop - nose < gap:
                    gap, leader_speed = max(stop - nose, 0.05), 0.0
            gaps[i], leader_speeds[i] = gap, leader_speed
        target = np.minimum(desired, routes.limit(position[:, None] + np.arange(0, 14, 2)).min(1))
        wished = 1.8 + np.maximum(0.0, speed * 1.2 + speed * (speed - leader_speeds) / (2 * np.sqrt(1.6 * 2.2)))
        free = 1.6 * (1 - (speed / target) ** 4)
        acceleration = np.clip(free - 1.6 * (wished / gaps) ** 2, -7.0, 1.6)
        travelled = np.maximum(speed * TIME_STEP + 0.5 * acceleration * TIME_STEP**2, 0.0)
        speed = np.maximum(speed + acceleration * TIME_STEP, 0.0)
        position[leads] += travelled[leads]
        for i, driver in enumerate(drivers):
            if driver.towed_by is not None:
                position[i] = position[driver.towed_by] - driver.tow_distance
                speed[i] = speed[driver.towed_by]
    begin = round(WARM_UP / TIME_STEP)
    return trace_xy[begin:], np.unwrap(trace_heading, axis=0)[begin:]
