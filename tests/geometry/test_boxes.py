import math

import numpy as np
import pytest
import torch
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.utils.data_classes import Box
from nuscenes.utils.geometry_utils import points_in_box
from pyquaternion import Quaternion

from avjepa.geometry.boxes import box_corners, indices_in_boxes, points_in_boxes, transform_boxes


def devkit_box(row: torch.Tensor) -> Box:
    x, y, z, length, width, height, yaw, velocity_x, velocity_y = row.tolist()
    orientation = Quaternion(axis=[0, 0, 1], radians=yaw)
    return Box([x, y, z], [width, length, height], orientation, velocity=(velocity_x, velocity_y, 0.0))


@pytest.fixture
def boxes() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(12, 9, generator=random, dtype=torch.float64) * 3
    rows[:, 3:6] = rows[:, 3:6].abs() + 0.5
    rows[:, 6] = torch.linspace(-3.1, 3.1, 12)
    return rows


def test_corners_are_the_devkits(boxes: torch.Tensor) -> None:
    """Ours go left-top, left-bottom, right-bottom, right-top; the devkit's the other way round from left-top."""
    order = [0, 3, 2, 1, 4, 7, 6, 5]
    for row, corners in zip(boxes, box_corners(boxes), strict=True):
        np.testing.assert_allclose(corners[order], devkit_box(row).corners().T, atol=1e-9)


def test_points_inside_are_the_devkits(boxes: torch.Tensor) -> None:
    points = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 4
    inside = points_in_boxes(points, boxes)
    assert inside.any()
    for row, ours in zip(boxes, inside, strict=True):
        assert ours.tolist() == points_in_box(devkit_box(row), points.numpy().T).tolist()
    for row, ours in zip(boxes, points_in_boxes(points, boxes, scale=1.5), strict=True):
        assert ours.tolist() == points_in_box(devkit_box(row), points.numpy().T, wlh_factor=1.5).tolist()


def test_point_on_a_face_is_inside() -> None:
    box = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0, 0, 0]])
    points = torch.tensor([[2.0, 1, 0.5], [2.001, 0, 0], [0, 1.001, 0], [0, 0, -0.501]])
    assert points_in_boxes(points, box).tolist() == [[True, False, False, False]]


def test_moving_boxes_is_what_the_devkit_does(boxes: torch.Tensor) -> None:
    turn, shift = Quaternion(axis=[0, 0, 1], radians=2.1), np.array([5.0, -7.0, 1.0])
    transform = torch.eye(4, dtype=torch.float64)
    transform[:3, :3], transform[:3, 3] = torch.from_numpy(turn.rotation_matrix), torch.from_numpy(shift)
    for row, ours in zip(boxes, transform_boxes(transform, boxes), strict=True):
        theirs = devkit_box(row)
        theirs.rotate(turn)
        theirs.translate(shift)
        np.testing.assert_allclose(ours[:3], theirs.center, atol=1e-9)
        np.testing.assert_allclose(ours[3:6], theirs.wlh[[1, 0, 2]], atol=1e-9)
        np.testing.assert_allclose(ours[6], quaternion_yaw(theirs.orientation), atol=1e-9)
        np.testing.assert_allclose(ours[7:], theirs.velocity[:2], atol=1e-9)


def test_mirrored_box() -> None:
    """Left and right swapped and everything twice as big: a car heading 30 degrees left heads 30 degrees right."""
    mirror = torch.diag(torch.tensor([2.0, -2.0, 2.0, 1.0]))
    box = torch.tensor([[10.0, 3, 1, 4, 2, 1.5, math.radians(30), 5, 1]])
    expected = torch.tensor([[20.0, -6, 2, 8, 4, 3, math.radians(-30), 10, -2]])
    torch.testing.assert_close(transform_boxes(mirror, box), expected)


def test_unknown_velocity_stays_unknown_and_alone(boxes: torch.Tensor) -> None:
    boxes[3, 7:] = float("nan")
    moved = transform_boxes(torch.eye(4, dtype=torch.float64), boxes)
    assert moved[3, 7:].isnan().all()
    assert int(moved.isnan().sum()) == 2


def test_no_boxes() -> None:
    none = torch.zeros(0, 9)
    assert box_corners(none).shape == (0, 8, 3)
    assert points_in_boxes(torch.zeros(5, 3), none).shape == (0, 5)
    assert transform_boxes(torch.eye(4), none).shape == (0, 9)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (-130.0, 250.0), (1e3, -5e3)])
def test_indices_of_the_points_in_each_box_are_those_of_the_full_product(centre: tuple[float, float]) -> None:
    generator = torch.Generator().manual_seed(4)
    spread = torch.tensor([20.0, 20.0, 4.0, 8.0, 3.0, 3.0, 6.3, 1.0, 1.0])
    points = torch.rand(5000, 3, generator=generator) * spread[:3]
    boxes = torch.rand(12, 9, generator=generator) * spread
    for rows in (points, boxes):
        rows[:, :2] += torch.tensor(centre) - 10
    inside = points_in_boxes(points, boxes)
    found = indices_in_boxes(points, boxes)
    assert [indices.tolist() for indices in found] == [row.nonzero()[:, 0].tolist() for row in inside]
    assert int(inside.sum()) > 100
    assert [len(indices) for indices in indices_in_boxes(points[:0], boxes)] == [0] * 12
    assert indices_in_boxes(points, boxes[:0]) == []
