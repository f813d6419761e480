"""Hand-made sweeps: a sloped street, and boxes of which the sides that face the sensor are seen."""

from collections.abc import Callable, Sequence

import numpy as np

from avjepa.data.arrays import Array
from avjepa.pseudo_objects.scene import Sweep

SLOPE = 0.08
PERIOD = 0.1


def ground(x: Array, y: Array) -> Array:
    """Height of the street: 8 % uphill along x."""
    return SLOPE * x


def street(vehicle: Array, generator: np.random.Generator) -> Array:
    """Points of the street around the vehicle, denser nearby."""
    radius = 4 + 40 * generator.random(12_000) ** 2
    angle = generator.random(12_000) * 2 * np.pi
    x, y = vehicle[0] + radius * np.cos(angle), vehicle[1] + radius * np.sin(angle)
    return np.stack((x, y, ground(x, y) + generator.normal(0, 0.02, len(x))), axis=1)


def box_points(
    centre: Sequence[float],
    size: Sequence[float],
    yaw: float,
    sensor: Array,
    generator: np.random.Generator,
    count: int,
) -> Array:
    """Points on those upright sides of a box that face the sensor; it stands on the street.

    Args:
        centre: x, y.
        size: length, width, height.
        yaw: of its length.
        sensor: x, y.
        generator: of where they lie.
        count: on each side.
    """
    length, width, height = size
    along, across = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    middle = np.array(centre)
    parts = []
    for normal, half, side, other in ((along, length / 2, across, width), (across, width / 2, along, length)):
        towards = np.sign((sensor - middle) @ normal)
        if abs((sensor - middle) @ normal) > half:
            where = (generator.random(count) - 0.5) * other
            parts.append(middle + towards * half * normal + where[:, None] * side)
    xy = np.concatenate(parts)
    z = ground(middle[0], middle[1]) + 0.2 + (height - 0.2) * generator.random(len(xy))
    return np.concatenate((xy + generator.normal(0, 0.02, xy.shape), z[:, None]), axis=1)


def sweeps(
    things: Sequence[Callable[[float, Array, np.random.Generator], Array]], count: int = 41, every: int = 5
) -> list[Sweep]:
    """Sweeps of a vehicle that goes along x at 5 m/s.

    Args:
        things: give their points at a time, seen from the vehicle.
        count: how many sweeps.
        every: which of them are keyframes.
    """
    result = []
    for number in range(count):
        time, generator = number * PERIOD, np.random.default_rng(number)
        vehicle = np.array([5.0 * time, 0.0])
        points = np.concatenate([street(vehicle, generator), *(thing(time, vehicle, generator) for thing in things)])
        result.append(Sweep(time, points, vehicle, 0.0, number % every == 0))
    return result
