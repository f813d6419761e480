"""A spinning 32-beam LiDAR like the Velodyne HDL-32E of nuScenes.

A sweep is taken at one instant, the stamp of its ``sample_data``: the rotation is not modelled, so there is nothing to
deskew. Pulses without a return leave no point. Some beams meet the roof of the recording vehicle itself, as they do in
nuScenes.
"""

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.bodies.materials import OPTICS, Material
from avjepa.synth.bodies.mesh import ellipsoid
from avjepa.synth.sensors.casting import Moment, first_hits
from avjepa.synth.sensors.hits import Hits, dot
from avjepa.synth.sensors.rig import Mount, RigidPose

BEAMS = 32
AZIMUTHS = 1086
MAX_RANGE = 100.0
_RANGE_NOISE = 0.018
_ELEVATIONS = np.radians(np.linspace(-30.67, 10.67, BEAMS))
_AZIMUTH_STEP = 2 * np.pi / AZIMUTHS


def beam_directions() -> FloatArray:
    """(azimuth * beam, 3) unit vectors in the sensor frame (x right, y forward, z up), clockwise from behind."""
    azimuth = -np.pi / 2 - np.arange(AZIMUTHS) * _AZIMUTH_STEP
    around, up = np.meshgrid(azimuth, _ELEVATIONS, indexing="ij")
    directions = np.stack((np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)), axis=-1)
    beams: FloatArray = directions.reshape(-1, 3).astype(np.float32)
    return beams


def nearest_rings(points: FloatArray | Array) -> FloatArray:
    """The beam whose elevation is nearest to that of each point (x, y, z) in the sensor frame."""
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    step = (_ELEVATIONS[-1] - _ELEVATIONS[0]) / (BEAMS - 1)
    rings: FloatArray = np.clip(np.round((elevation - _ELEVATIONS[0]) / step), 0, BEAMS - 1).astype(np.float32)
    return rings


class Lidar:
    """Turns moments of a street into point files.

    Args:
        mount: calibration of the sensor.
    """

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._beams = beam_directions()
        self._planes = np.ascontiguousarray(self._beams.T)
        self._ring = np.tile(np.arange(BEAMS, dtype=np.float32), AZIMUTHS)
        self._own_roof = self._ranges_to_own_vehicle()

    def _ranges_to_own_vehicle(self) -> FloatArray:
        # the roof under the sensor: it hides most of the lowest beam and little of the eighth, as in nuScenes
        x, y, z = self._mount.translation
        roof = ellipsoid((1.15, 0.64, 0.11), (x, y, z - 0.40), (0.7, 0.7, 0.7), Material.PAINT, detail=2)
        rotation = self._mount.rotation.rotation_matrix.astype(np.float32)
        rays = np.column_stack(
            (np.tile(np.array(self._mount.translation, np.float32), (len(self._beams), 1)), self._beams @ rotation.T)
        )
        return first_hits(roof, rays)

    def sweep(self, moment: Moment, global_from_ego: RigidPose, rng: np.random.Generator) -> FloatArray:
        """One sweep.

        Returns:
            (point, 5): x, y, z in the sensor frame (m), intensity 0-255, ring, ordered by azimuth.
        """
        global_from_sensor = global_from_ego.matrix @ self._mount.ego_from_sensor
        directions = global_from_sensor[:3, :3].astype(np.float32) @ self._planes
        origin = global_from_sensor[:3, 3].astype(np.float32)
        hits = moment.cast(origin, directions, self._windows(moment, global_from_sensor))
        distance, intensity = _returns(moment, hits, directions, rng)
        own = self._own_roof < hits.distance
        noise = rng.standard_normal(len(distance), np.float32) * np.float32(_RANGE_NOISE)
        distance = np.where(own, self._own_roof, distance) + noise
        intensity = np.where(own, np.float32(8.0), intensity)
        returned = np.flatnonzero(np.isfinite(distance) & (distance > 0.05))
        points = np.empty((len(returned), 5), np.float32)
        distance = distance.take(returned)
        for axis, plane in enumerate(self._planes):
            points[:, axis] = plane.take(returned) * distance
        points[:, 3] = np.clip(np.round(intensity.take(returned)), 0, 255)
        points[:, 4] = self._ring.take(returned)
        return points

    def _windows(self, moment: Moment, global_from_sensor: Array) -> list[NDArray[np.int64]]:
        """Per mover, indices of the rays in the window of azimuth and elevation around its box."""
        local = (moment.movers.corners - global_from_sensor[:3, 3]) @ global_from_sensor[:3, :3]
        centre = local.mean(1)
        reach = np.hypot(local[..., 0], local[..., 1])
        radius = np.hypot(*(local - centre[:, None])[..., :2].transpose(2, 0, 1)).max(1)
        nearest, farthest = np.maximum(np.hypot(centre[:, 0], centre[:, 1]) - radius, 0.01), reach.max(1)
        low, high = local[..., 2].min(1), local[..., 2].max(1)
        lowest = np.arctan2(low, np.where(low > 0, farthest, nearest))
        highest = np.arctan2(high, np.where(high > 0, nearest, farthest))
        first, last = np.searchsorted(_ELEVATIONS, lowest - 0.001), np.searchsorted(_ELEVATIONS, highest + 0.001)
        # azimuths run clockwise from behind; a box that surrounds the sensor fills all of them
        middle = (-np.pi / 2 - np.arctan2(centre[:, 1], centre[:, 0])) / _AZIMUTH_STEP
        half = np.arcsin(np.minimum(radius / np.maximum(nearest + radius, 1e-6), 1.0)) / _AZIMUTH_STEP
        half[nearest < 0.1] = AZIMUTHS / 2
        begin, end = np.floor(middle - half).astype(int), np.ceil(middle + half).astype(int) + 1
        end = np.minimum(end, begin + AZIMUTHS)
        return [
            (np.arange(left, right)[:, None] % AZIMUTHS * BEAMS + np.arange(under, over)).ravel()
            for left, right, under, over in zip(begin, end, first, last, strict=True)
        ]


def _returns(
    moment: Moment, hits: Hits, directions: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Measured distance (infinite where the pulse is lost) and intensity per ray."""
    count = len(hits.distance)
    chance = rng.random(count, np.float32)
    speckle = 1 + np.float32(0.12) * rng.standard_normal(count, np.float32)
    depth = rng.standard_exponential(count, np.float32)
    face = np.maximum(hits.face, 0)
    material = moment.surfaces.material.take(face)
    head_on = np.abs(dot(hits.normal, directions))
    brightness = np.array((0.3, 0.4, 0.3), np.float32) @ moment.surfaces.colour.take(face, axis=1)
    reflectivity = OPTICS.lidar_reflectivity.take(material)
    reflected = reflectivity * (np.float32(0.3) + np.float32(0.7) * np.sqrt(np.clip(brightness, 0, 1)))
    reflected = np.where(material == Material.RETROREFLECTOR, reflectivity, reflected)
    intensity = reflected * (np.float32(0.2) + np.float32(0.8) * head_on) * speckle
    spread = np.float32(45.0) / np.maximum(hits.distance, np.float32(5.0))
    strength = reflected * (np.float32(0.12) + np.float32(0.88) * head_on) * spread * spread
    keep = (1 - OPTICS.lidar_dropout.take(material)) * (1 - np.exp(strength * np.float32(-1 / 3.5)))
    lost = (chance > keep) | (hits.distance > MAX_RANGE)
    roughness = OPTICS.lidar_roughness.take(material) * depth
    return np.where(lost, np.float32(np.inf), hits.distance + roughness), intensity
