"""A spinning 32-beam LiDAR like the Velodyne HDL-32E of nuScenes.

A sweep is taken at one instant, the stamp of its ``sample_data``: the rotation is not modelled, so there is nothing to
deskew. Pulses without a return leave no point. Some beams meet the roof of the recording vehicle itself, as they do in
nuScenes.
"""

import numpy as np

from avjepa.synth.arrays import FloatArray
from avjepa.synth.casting import Hits, Moment, dot, first_hits
from avjepa.synth.materials import OPTICS, Material
from avjepa.synth.mesh import ellipsoid
from avjepa.synth.rig import Mount, RigidPose

BEAMS = 32
AZIMUTHS = 1086
MAX_RANGE = 100.0
_RANGE_NOISE = 0.018


def beam_directions() -> FloatArray:
    """(azimuth * beam, 3) unit vectors in the sensor frame (x right, y forward, z up), clockwise from behind."""
    elevation = np.radians(np.linspace(-30.67, 10.67, BEAMS))
    azimuth = -np.pi / 2 - np.arange(AZIMUTHS) * (2 * np.pi / AZIMUTHS)
    around, up = np.meshgrid(azimuth, elevation, indexing="ij")
    directions = np.stack((np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)), axis=-1)
    beams: FloatArray = directions.reshape(-1, 3).astype(np.float32)
    return beams


class Lidar:
    """Turns moments of a street into point files.

    Args:
        mount: calibration of the sensor.
    """

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._beams = beam_directions()
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
        directions = self._beams @ global_from_sensor[:3, :3].T.astype(np.float32)
        hits = moment.cast(global_from_sensor[:3, 3].astype(np.float32), directions)
        distance, intensity = _returns(moment, hits, directions, rng)
        own = np.isfinite(self._own_roof) & (self._own_roof < hits.distance)
        noise = rng.normal(0, _RANGE_NOISE, len(distance)).astype(np.float32)
        distance = np.where(own, self._own_roof, distance) + noise
        intensity = np.where(own, np.float32(8.0), intensity)
        returned = np.isfinite(distance) & (distance > 0.05)
        points = np.empty((int(returned.sum()), 5), np.float32)
        points[:, :3] = self._beams[returned] * distance[returned, None]
        points[:, 3] = np.clip(np.round(intensity[returned]), 0, 255)
        points[:, 4] = self._ring[returned]
        return points


def _returns(
    moment: Moment, hits: Hits, directions: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Measured distance (infinite where the pulse is lost) and intensity per ray."""
    count = len(hits.distance)
    chance = rng.random(count, dtype=np.float32)
    speckle = rng.normal(1.0, 0.12, count).astype(np.float32)
    depth = rng.exponential(1.0, count).astype(np.float32)
    face = np.where(hits.found, hits.face, 0)
    material = moment.surfaces.material[face]
    head_on = np.abs(dot(hits.normal, directions.T))
    brightness = np.array((0.3, 0.4, 0.3), np.float32) @ moment.surfaces.colour.take(face, axis=1)
    reflected = OPTICS.lidar_reflectivity[material] * (0.3 + 0.7 * np.sqrt(np.clip(brightness, 0, 1)))
    reflected = np.where(material == Material.RETROREFLECTOR, OPTICS.lidar_reflectivity[material], reflected)
    intensity = reflected * (0.2 + 0.8 * head_on) * speckle
    distance = np.where(hits.found, hits.distance, np.inf)
    strength = reflected * (0.12 + 0.88 * head_on) * (45.0 / np.maximum(distance, 5.0)) ** 2
    keep = (1 - OPTICS.lidar_dropout[material]) * (1 - np.exp(-strength / 3.5))
    lost = (chance > keep) | (distance > MAX_RANGE) | ~hits.found
    distance = np.where(lost, np.inf, distance + OPTICS.lidar_roughness[material] * depth)
    return distance.astype(np.float32), intensity.astype(np.float32)
