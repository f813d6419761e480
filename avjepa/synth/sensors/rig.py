"""The sensors of the recording vehicle: where they sit, which way they look, when they fire.

Positions, angles and focal lengths follow the nuScenes vehicle; every scene perturbs them a little, as every
calibration differs.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pyquaternion import Quaternion

from avjepa.data.nuscenes.schema import CAMERA_CHANNELS, LIDAR_CHANNEL, RADAR_CHANNELS
from avjepa.synth.arrays import Array

ASPECT = 9 / 16
_CAMERAS = {
    # channel: position in the ego frame (m), yaw (deg, left positive), focal length over image width, firing time
    # before the LiDAR stamp (s): cameras fire when the beam sweeps past the middle of their view
    "CAM_FRONT_LEFT": ((1.52, 0.49, 1.51), 55.0, 0.795, 0.0431),
    "CAM_FRONT": ((1.70, 0.01, 1.51), 0.0, 0.790, 0.0355),
    "CAM_FRONT_RIGHT": ((1.55, -0.49, 1.50), -55.5, 0.788, 0.0276),
    "CAM_BACK_RIGHT": ((1.01, -0.48, 1.56), -110.5, 0.787, 0.0200),
    "CAM_BACK": ((0.03, 0.0, 1.58), 180.0, 0.506, 0.0104),
    "CAM_BACK_LEFT": ((1.04, 0.48, 1.59), 108.5, 0.786, 0.0005),
}
_RADARS = {
    "RADAR_FRONT": ((3.41, 0.0, 0.50), 0.0),
    "RADAR_FRONT_LEFT": ((2.42, 0.80, 0.78), 88.5),
    "RADAR_FRONT_RIGHT": ((2.42, -0.80, 0.77), -88.8),
    "RADAR_BACK_LEFT": ((-0.56, 0.63, 0.53), 174.0),
    "RADAR_BACK_RIGHT": ((-0.56, -0.62, 0.53), -175.5),
}
_LIDAR_POSITION = (0.94, 0.0, 1.84)
CHANNELS = (LIDAR_CHANNEL, *CAMERA_CHANNELS, *RADAR_CHANNELS)


@dataclass(frozen=True)
class RigidPose:
    """Where a frame lies in another: the quaternion and translation that the tables hold, and the same as a matrix."""

    rotation: Quaternion
    translation: tuple[float, float, float]

    @cached_property
    def matrix(self) -> Array:
        """4 x 4, ``dst_from_src``."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation.rotation_matrix
        matrix[:3, 3] = self.translation
        return matrix


@dataclass(frozen=True)
class Mount:
    """Calibration of one sensor, as ``calibrated_sensor`` holds it."""

    translation: tuple[float, float, float]
    rotation: Quaternion
    """The sensor's axes in the ego frame."""
    intrinsic: tuple[tuple[float, float, float], ...]
    """3 x 3 for a camera, empty otherwise."""
    delay: float
    """Seconds from the LiDAR stamp of a moment to this sensor's own."""

    @cached_property
    def ego_from_sensor(self) -> Array:
        """4 x 4."""
        return RigidPose(self.rotation, self.translation).matrix


def mount_sensors(rng: np.random.Generator, image_width: int) -> dict[str, Mount]:
    """The calibration of one recording, by channel."""

    def turned(yaw: float, *before: Quaternion) -> Quaternion:
        wobble = rng.normal(0, 0.25, 3)
        rotation = Quaternion(axis=(0, 0, 1), degrees=yaw)
        for each in before:
            rotation = rotation * each
        for axis, angle in zip(np.eye(3), wobble, strict=True):
            rotation = rotation * Quaternion(axis=axis, degrees=float(angle))
        return Quaternion([round(float(value), 12) for value in rotation.elements])

    def shifted(position: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = (round(float(value), 6) for value in np.asarray(position) + rng.normal(0, 0.008, 3))
        return x, y, z

    optical = (Quaternion(axis=(0, 0, 1), degrees=-90), Quaternion(axis=(1, 0, 0), degrees=-90))
    mounts = {LIDAR_CHANNEL: Mount(shifted(_LIDAR_POSITION), turned(-90.0), (), 0.0)}
    for channel in CAMERA_CHANNELS:
        position, yaw, focal, early = _CAMERAS[channel]
        width = float(image_width)
        length = round(focal * width * rng.uniform(0.995, 1.005), 9)
        across = round(width * (0.5 + rng.uniform(0.003, 0.017)), 9)
        down = round(width * ASPECT * (0.5 + rng.uniform(0.025, 0.055)), 9)
        matrix = ((length, 0.0, across), (0.0, length, down), (0.0, 0.0, 1.0))
        mounts[channel] = Mount(shifted(position), turned(yaw, *optical), matrix, -early)
    for channel in RADAR_CHANNELS:
        position, yaw = _RADARS[channel]
        mounts[channel] = Mount(shifted(position), turned(yaw), (), float(rng.uniform(-0.035, 0.035)))
    return mounts
