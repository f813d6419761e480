import numpy as np
import torch
from nuscenes.utils.geometry_utils import transform_matrix
from pyquaternion import Quaternion

from avjepa.geometry.transforms import (
    apply,
    inverse,
    rotate,
    rotation_from_quaternion,
    transform_from,
)


def random_quaternion(seed: int) -> Quaternion:
    return Quaternion(np.random.default_rng(seed).normal(size=4)).unit


def test_rotation_agrees_with_pyquaternion() -> None:
    quaternions = [random_quaternion(seed) for seed in range(20)]
    elements = torch.tensor(np.array([3.0 * q.elements for q in quaternions]))  # length does not matter
    expected = np.array([q.rotation_matrix for q in quaternions])
    np.testing.assert_allclose(rotation_from_quaternion(elements), expected, atol=1e-12)
    np.testing.assert_allclose(
        rotation_from_quaternion(elements.reshape(4, 5, 4)).reshape(20, 3, 3), expected, atol=1e-12
    )


def test_pose_and_inverse_agree_with_the_devkit() -> None:
    quaternion, translation = random_quaternion(1), [3.0, -4.0, 5.0]
    ours = transform_from(torch.tensor(quaternion.elements), torch.tensor(translation, dtype=torch.float64))
    np.testing.assert_allclose(ours, transform_matrix(translation, quaternion), atol=1e-12)
    np.testing.assert_allclose(inverse(ours), transform_matrix(translation, quaternion, inverse=True), atol=1e-12)


def test_inverse_of_a_flip_with_scale() -> None:
    flip = torch.diag(torch.tensor([2.0, -2.0, 2.0, 1.0]))
    flip[:3, 3] = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(apply(inverse(flip), torch.tensor([[3.0, 0.0, 5.0]])), torch.tensor([[1.0, 1.0, 1.0]]))


def test_points_move_and_directions_only_turn() -> None:
    """A sensor one metre ahead, looking left: its x axis is our y axis."""
    left = Quaternion(axis=[0, 0, 1], degrees=90)
    ego_from_sensor = transform_from(torch.tensor(left.elements), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    ahead = torch.tensor([[2.0, 0.0, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(apply(ego_from_sensor, ahead), torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64))
    torch.testing.assert_close(rotate(ego_from_sensor, ahead), torch.tensor([[0.0, 2.0, 0.5]], dtype=torch.float64))
