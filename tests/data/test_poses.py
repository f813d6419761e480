"""Poses of the tables, by pyquaternion and the devkit."""

import numpy as np
from nuscenes.utils.geometry_utils import transform_matrix
from pyquaternion import Quaternion

from avjepa.data.poses import inverse_pose, level_of, pose_matrices

ORIGIN = [3000.0, -4000.0, 0.5]


def row(quaternion: Quaternion, length: float = 1.0) -> np.ndarray:
    return np.array([[*(length * quaternion.elements), *ORIGIN]])


def test_matrices_and_their_inverse_equal_the_devkits() -> None:
    random = np.random.default_rng(0)
    for length in (1.0, 0.98, 3.0):  # of the quaternion does not matter
        quaternion = Quaternion(random.normal(size=4)).unit
        (ours,) = pose_matrices(row(quaternion, length))
        np.testing.assert_allclose(ours, transform_matrix(ORIGIN, quaternion), atol=1e-12)
        np.testing.assert_allclose(inverse_pose(ours), transform_matrix(ORIGIN, quaternion, inverse=True), atol=1e-11)


def test_level_pose_keeps_origin_and_heading_and_stands_upright() -> None:
    turn = Quaternion(axis=[0, 0, 1], radians=2.5)
    tilted = turn * Quaternion(axis=[0, 1, 0], radians=0.05) * Quaternion(axis=[1, 0, 0], radians=-0.03)
    expected = transform_matrix(ORIGIN, turn)
    np.testing.assert_allclose(level_of(pose_matrices(row(tilted))[0]), expected, atol=1e-14)
    np.testing.assert_allclose(level_of(pose_matrices(row(turn))[0]), expected, atol=1e-14)
