"""A LiDAR in the rain."""

import numpy as np

from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.dataset.truth import Boxes
from avjepa.synth.sensors.lidar import nearest_rings
from avjepa.synth.weather.rain import Rain

_MIRROR_RANGE, _SPRAY_RANGE, _SPRAY_SPEED = 40.0, 50.0, 4.0  # m, m, m/s
_NARROWEST = 1.2  # m: who is narrower throws up no spray


def rainy_points(
    points: FloatArray, spray: FloatArray, road: float, rain: Rain, rng: np.random.Generator
) -> FloatArray:
    """A sweep as it is in the rain: far points are lost, drops and spray are seen, the wet road is a mirror.

    Args:
        points: (point, 5): x, y, z in the sensor frame (m), intensity, ring.
        spray: (point, 3) places in the sensor frame.
        road: height of the road in the sensor frame, below 0.
        rain: how hard it rains.
        rng: draws.

    Returns:
        As ``points``, ordered by azimuth as a sweep is: clockwise from behind.
    """
    distance = np.linalg.norm(points[:, :3], axis=1)
    passed = np.exp(-2 * rain.extinction * distance).astype(np.float32)
    luck, drop = rng.random((2, len(points)), np.float32)
    wet = points.copy()
    wet[:, 3] = np.round(wet[:, 3] * passed)
    scattered = drop < rain.scatter
    nearer = np.minimum(distance, 1.5 + rng.exponential(4.0, len(points)))
    shrink = np.where(scattered, nearer / np.maximum(distance, 1e-3), 1.0).astype(np.float32)
    wet[:, :3] *= shrink[:, None]
    wet[scattered, 3] = rng.integers(1, 8, int(scattered.sum()))
    wet = wet[(luck < passed) | scattered]

    above = (wet[:, 2] > road + 0.3) & (np.hypot(wet[:, 0], wet[:, 1]) < _MIRROR_RANGE)
    mirrored = wet[np.flatnonzero(above)[rng.random(int(above.sum())) < rain.mirrored]].copy()
    mirrored[:, 2] = 2 * road - mirrored[:, 2]
    mirrored[:, 3] = np.round(0.3 * mirrored[:, 3])
    thrown = np.empty((len(spray), 5), np.float32)
    thrown[:, :3] = spray
    thrown[:, 3] = rng.integers(1, 12, len(spray))
    thrown[:, 4] = nearest_rings(spray)

    every = np.concatenate((wet, mirrored, thrown))
    phase = (-np.pi / 2 - np.arctan2(every[:, 1], every[:, 0])) % (2 * np.pi)
    ordered: FloatArray = every[np.argsort(phase, kind="stable")]
    return ordered


def spray_behind(boxes: Boxes, velocity: Array, origin: Array, rain: Rain, rng: np.random.Generator) -> Array:
    """(point, 3) places of the spray behind moving vehicles, global frame.

    Args:
        boxes: of all actors.
        velocity: (actor, 2) of them, m/s.
        origin: (3,) of the sensor.
        rain: how hard it rains.
        rng: draws.
    """
    speed = np.hypot(*velocity.T[:2])
    distance = np.hypot(*(boxes.centre[:, :2] - origin[:2]).T)
    thrown = (speed > _SPRAY_SPEED) & (distance < _SPRAY_RANGE) & (boxes.size[:, 0] > _NARROWEST)
    places = [np.zeros((0, 3))]
    for actor in np.flatnonzero(thrown):
        strength = rain.spray * min(speed[actor] / 10, 2.0) * min((10 / distance[actor]) ** 2, 4.0)
        count = int(rng.poisson(strength))
        width, length, height = boxes.size[actor]
        back = length / 2 + rng.exponential(2.5, count)
        aside = rng.normal(0, width / 2.5, count)
        up = np.abs(rng.normal(0, 0.6, count)) - height / 2
        cos, sin = np.cos(boxes.yaw[actor]), np.sin(boxes.yaw[actor])
        places.append(boxes.centre[actor] + np.column_stack((-cos * back - sin * aside, -sin * back + cos * aside, up)))
    return np.concatenate(places)
