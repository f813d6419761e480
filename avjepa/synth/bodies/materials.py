"""What surfaces are made of, as the three kinds of sensor see them."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from avjepa.synth.arrays import FloatArray


class Material(IntEnum):
    """Index into the tables of ``OPTICS``."""

    GROUND = 0
    FACADE = 1
    CONCRETE = 2
    PAINT = 3
    GLASS = 4
    RUBBER = 5
    PLASTIC = 6
    CLOTH = 7
    SKIN = 8
    FOLIAGE = 9
    BARE_METAL = 10
    RETROREFLECTOR = 11
    LAMP = 12
    WOOD = 13


@dataclass(frozen=True)
class Optics:
    """Constants per material, each an array indexed by ``Material``."""

    lidar_reflectivity: FloatArray
    """Intensity (0-255) of a white surface met head-on."""
    lidar_dropout: FloatArray
    """Probability that a head-on pulse gives no return at all: glass lets it through, gloss throws it elsewhere."""
    lidar_roughness: FloatArray
    """Standard deviation of the depth at which a pulse returns, in metres, on top of the sensor's own noise."""
    radar_gain: FloatArray
    """Radar cross-section relative to bare metal, in dB."""
    gloss: FloatArray
    """Share of the sky that the surface mirrors in the camera, met head-on; grows towards grazing angles."""


#                 GROUND FACADE CONCR PAINT GLASS RUBBR PLAST CLOTH  SKIN  FOLIA METAL  RETRO  LAMP  WOOD
OPTICS = Optics(
    lidar_reflectivity=np.array([42, 60, 70, 95, 25, 14, 70, 55, 50, 48, 60, 250, 120, 50], np.float32),
    lidar_dropout=np.array([0.0, 0.02, 0.01, 0.10, 0.72, 0.08, 0.03, 0.02, 0.02, 0.12, 0.10, 0, 0.1, 0.02], np.float32),
    lidar_roughness=np.array([0, 0, 0, 0, 0, 0, 0, 0.008, 0, 0.08, 0, 0, 0, 0], np.float32),
    radar_gain=np.array([-22, -8, -9, -1, -10, -14, -13, -13, -12, -15, 0, 0, -6, -13], np.float32),
    gloss=np.array([0, 0, 0, 0.10, 0.32, 0.02, 0.03, 0, 0, 0, 0.2, 0, 0.05, 0], np.float32),
)
