"""A marked point is found in its BEV cell: every camera, both lifts, any resize, crop, flip and BEV augmentation."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes.utils.geometry_utils import view_points
from PIL import Image
from pyquaternion import Quaternion

from avjepa.data.sample import Cameras
from avjepa.encoders.camera.geometry import image_from_bev, project_lattice
from avjepa.encoders.camera.lift import ImageFeatures
from avjepa.encoders.camera.lift_bilinear import BilinearLift, BilinearLiftOptions
from avjepa.encoders.camera.lift_depth import DepthLift, DepthLiftOptions
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from tests.encoders.camera.camera_rig import GRID, HEIGHT, WIDTH, Array, bev_from_camera, intrinsics, projected, rig

MARKED_HEIGHT = 0.4
AUGMENTATION = np.array([[0.9, 0.35, 0.0, 0.6], [0.35, -0.9, 0.0, -0.4], [0.0, 0.0, 0.96, 0.1], [0.0, 0.0, 0.0, 1.0]])
"""Turned, mirrored, scaled and shifted."""


def points_at(height: float, grid: BEVGrid) -> Array:
    """Cell centres at a height, row by row."""
    rows, columns = grid.shape
    x = grid.x_min + (np.arange(columns) + 0.5) * grid.cell
    y = grid.y_min + (np.arange(rows) + 0.5) * grid.cell
    return np.stack([*np.meshgrid(x, y), np.full((rows, columns), height)], axis=-1).reshape(-1, 3)


def marked_points(pose: Array, matrix: Array, size: tuple[int, int], grid: BEVGrid, far: float) -> Array:
    """Cell centres that the camera sees well within its image (height, width), 4 m to ``far`` ahead."""
    points = points_at(MARKED_HEIGHT, grid)
    pixels, depth = projected(points, pose, matrix)
    with np.errstate(invalid="ignore"):
        good = (depth > 4) & (depth < far) & (pixels > 8).all(1) & (pixels < (size[1] - 8, size[0] - 8)).all(1)
    chosen = points[good]
    assert len(chosen) >= 8
    return chosen[:: len(chosen) // 8]


def cell_at(point: Array, grid: BEVGrid) -> tuple[int, int]:
    return int((point[1] - grid.y_min) // grid.cell), int((point[0] - grid.x_min) // grid.cell)


def blob(pixel: Array, height: int, width: int, sigma: float = 1.2) -> Array:
    """A spot of light at a continuous image position; the centre of the first pixel is (.5, .5)."""
    u, v = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    return np.exp(-((u - pixel[0]) ** 2 + (v - pixel[1]) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("view", range(6))
def test_bilinear_lift_finds_marked_points(view: int, augmented: bool) -> None:
    bev_from_level = AUGMENTATION if augmented else np.eye(4)
    pose, matrix = bev_from_level @ bev_from_camera(view), intrinsics(view)
    cameras = rig()
    cameras = replace(cameras, bev_from_camera=torch.from_numpy(bev_from_level).float() @ cameras.bev_from_camera)
    lift = BilinearLift(1, GRID, BilinearLiftOptions(heights=(MARKED_HEIGHT,)))
    for point in marked_points(pose, matrix, (HEIGHT, WIDTH), GRID, far=9.0):
        pixel = projected(point[None], pose, matrix)[0][0]
        image = torch.zeros(1, 6, 1, HEIGHT, WIDTH)
        image[0, view, 0] = torch.from_numpy(blob(pixel, HEIGHT, WIDTH))
        bev = lift(ImageFeatures(image, cameras, stride=1, origin=0.5))[0, 0]
        assert divmod(int(bev.argmax()), GRID.shape[1]) == cell_at(point, GRID)


def coordinate_images(height: int, width: int) -> np.ndarray:
    """Two channels: the (u, v) of every pixel's centre. They are linear, so bilinear resampling keeps them."""
    u = np.broadcast_to(np.arange(width) + 0.5, (height, width))
    v = np.broadcast_to(np.arange(height)[:, None] + 0.5, (height, width))
    return np.stack((u, v)).astype(np.float32)


def resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(v).resize((width, height), Image.Resampling.BILINEAR)) for v in values])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("view", [0, 3, 5])
def test_bilinear_lift_reads_the_exact_pixel_after_resize_crop_and_flip(view: int, stride: int, flip: bool) -> None:
    values, matrix = coordinate_images(HEIGHT, WIDTH), intrinsics(view)
    scale_v, scale_u = 72 / HEIGHT, 112 / WIDTH
    values = resized(values, 72, 112)[:, 8:64, 12:108]
    matrix = np.array([[1, 0, -12], [0, 1, -8], [0, 0, 1.0]]) @ np.diag([scale_u, scale_v, 1]) @ matrix
    if flip:
        values = values[:, :, ::-1]
        matrix = np.array([[-1, 0, 96], [0, 1, 0], [0, 0, 1.0]]) @ matrix
    image = torch.from_numpy(values.copy())
    features = torch.nn.functional.avg_pool2d(image, stride) if stride > 1 else image
    cameras = rig(torch.zeros(1, 1, 3, 56, 96, dtype=torch.uint8), views=(view,))
    cameras = replace(cameras, intrinsics=torch.from_numpy(matrix).float()[None, None])
    heights = (-0.3, 0.6, 1.7)
    lift = BilinearLift(2, GRID, BilinearLiftOptions(heights=heights))
    bev = lift(ImageFeatures(features[None, None], cameras, stride, origin=stride / 2))[0]
    assert bev.shape == (6, *GRID.shape)

    compared = 0
    for level, height in enumerate(heights):
        pixels, depth = projected(points_at(height, GRID), bev_from_camera(view), intrinsics(view))
        lifted = bev[2 * level : 2 * level + 2].flatten(1).T.numpy()
        crop = np.array([12 / scale_u, 8 / scale_v]), np.array([108 / scale_u, 64 / scale_v])
        with np.errstate(invalid="ignore"):
            within = ((pixels > crop[0]) & (pixels < crop[1])).all(1) & (depth > 1)
            interior = ((pixels > crop[0] + 4) & (pixels < crop[1] - 4)).all(1) & (depth > 1)
        np.testing.assert_array_equal((lifted > 0).all(1), within)
        # Away from borders, where nothing is left to interpolate with. PIL's sampled filter keeps lines to .02 pixels.
        np.testing.assert_allclose(lifted[interior], pixels[interior], atol=0.02)
        compared += interior.sum()
    assert compared > 60


def test_bilinear_lift_averages_only_the_cameras_that_see_the_voxel() -> None:
    cameras = rig()
    lift = BilinearLift(1, GRID, BilinearLiftOptions(heights=(0.5,)))
    ids = torch.tensor([1.0, 10.0, 100.0, 1e3, 1e4, 1e5])
    values = ids[None, :, None, None, None].expand(1, 6, 1, HEIGHT, WIDTH)
    features = ImageFeatures(values, cameras, 1, 0.5)
    sees = []
    for view in range(6):
        pixels, depth = projected(points_at(0.5, GRID), bev_from_camera(view), intrinsics(view))
        with np.errstate(invalid="ignore"):
            sees.append((depth >= 1) & ((pixels >= 0) & (pixels < (WIDTH, HEIGHT))).all(1))
    seen = np.stack(sees).astype(np.float64)
    assert (seen.sum(0) == 2).sum() > 20 and (seen.sum(0) == 0).sum() > 5
    expected = (ids.numpy() @ seen) / np.maximum(seen.sum(0), 1)
    np.testing.assert_allclose(lift(features)[0, 0].flatten().numpy(), expected, rtol=1e-5)

    gone = torch.ones(1, 6, dtype=torch.bool)
    gone[0, 1] = False
    seen[1] = 0
    without = lift(replace(features, cameras=replace(cameras, present=gone)))
    expected = (ids.numpy() @ seen) / np.maximum(seen.sum(0), 1)
    np.testing.assert_allclose(without[0, 0].flatten().numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("view", range(6))
def test_depth_lift_puts_a_pixel_where_its_depth_says(view: int, stride: int, augmented: bool) -> None:
    bev_from_level = AUGMENTATION if augmented else np.eye(4)
    cameras = rig()
    cameras = replace(cameras, bev_from_camera=torch.from_numpy(bev_from_level).float() @ cameras.bev_from_camera)
    options = DepthLiftOptions(nearest=2.0, farthest=14.0, bins=24, context_channels=2)
    lift = DepthLift(4, GRID, options)
    random = np.random.default_rng(view)
    rows, columns = HEIGHT // stride, WIDTH // stride
    found = 0
    for _ in range(8):
        row, column, depth_bin = random.integers(rows), random.integers(columns), random.integers(24)
        context = torch.zeros(1, 6, 2, rows, columns)
        context[0, view, :, row, column] = torch.tensor([3.0, -5.0])
        probability = torch.zeros(1, 6, 24, rows, columns)
        probability[0, view, depth_bin, row, column] = 1
        bev = lift.splat(ImageFeatures(context, cameras, stride, stride / 2), probability)[0]

        pixel = np.array([(column + 0.5) * stride, (row + 0.5) * stride, 1.0])
        in_camera = np.linalg.inv(intrinsics(view)) @ pixel * (2.25 + 0.5 * depth_bin)
        point = (bev_from_level @ bev_from_camera(view) @ np.array([*in_camera, 1.0]))[:3]
        inside = GRID.x_min <= point[0] < GRID.x_max and GRID.y_min <= point[1] < GRID.y_max and -3 <= point[2] < 5
        expected = torch.zeros(2, *GRID.shape)
        if inside:
            expected[:, *cell_at(point, GRID)] = torch.tensor([3.0, -5.0])
            found += 1
        torch.testing.assert_close(bev, expected)
    assert found >= 3


def test_depth_lift_sums_over_pixels_and_passes_exact_gradients() -> None:
    cameras = rig()
    options = DepthLiftOptions(nearest=2.0, farthest=14.0, bins=6, context_channels=3)
    lift = DepthLift(4, GRID, options)
    generator = torch.Generator().manual_seed(0)
    context = torch.randn(1, 6, 3, 6, 10, generator=generator).requires_grad_()
    logits = torch.randn(1, 6, 6, 6, 10, generator=generator)
    probability = logits.softmax(2).requires_grad_()
    bev = lift.splat(ImageFeatures(context, cameras, 16, 8.0), probability)
    probe = torch.randn(bev.shape, generator=generator)
    (bev * probe).sum().backward()

    dense_context = context.detach().clone().requires_grad_()
    dense_probability = probability.detach().clone().requires_grad_()
    dense = torch.zeros(3, *GRID.shape)
    for view in range(6):
        for row in range(6):
            for column in range(10):
                ray = np.linalg.inv(intrinsics(view)) @ np.array([(column + 0.5) * 16, (row + 0.5) * 16, 1.0])
                for depth_bin in range(6):
                    point = (bev_from_camera(view) @ np.array([*(ray * (3 + 2 * depth_bin)), 1.0]))[:3]
                    y, x = cell_at(point, GRID)
                    if 0 <= y < GRID.shape[0] and 0 <= x < GRID.shape[1] and -3 <= point[2] < 5:
                        mark = torch.zeros(GRID.shape)
                        mark[y, x] = 1
                        share = dense_probability[0, view, depth_bin, row, column]
                        dense = dense + mark * share * dense_context[0, view, :, row, column, None, None]
    (dense * probe[0]).sum().backward()
    torch.testing.assert_close(bev[0], dense, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(context.grad, dense_context.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(probability.grad, dense_probability.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.realdata
def test_marked_points_are_found_with_the_real_calibration(realdata: Path) -> None:
    """All six cameras of the real rig, 1600×900 reduced to 400×225, on a grid that is not square."""
    tables = realdata / "nuscenes_keyframe" / "v1.0-mini"
    sensors = {record["token"]: record["channel"] for record in json.loads((tables / "sensor.json").read_text())}
    grid = BEVGrid(x_min=-20.0, x_max=28.0, y_min=-16.0, y_max=24.0, cell=0.8)
    lift = BilinearLift(1, grid, BilinearLiftOptions(heights=(MARKED_HEIGHT,)))
    depth_lift = DepthLift(1, grid, DepthLiftOptions(nearest=1.0, farthest=16.0, bins=150, context_channels=1))
    height, width, count = 225, 400, 0
    for calibration in json.loads((tables / "calibrated_sensor.json").read_text()):
        if not sensors[calibration["sensor_token"]].startswith("CAM"):
            continue
        count += 1
        pose = np.eye(4)
        pose[:3, :3] = Quaternion(calibration["rotation"]).rotation_matrix
        pose[:3, 3] = calibration["translation"]
        matrix = np.diag([0.25, 0.25, 1.0]) @ np.array(calibration["camera_intrinsic"])
        cameras = Cameras(
            torch.zeros(1, 1, 3, height, width, dtype=torch.uint8),
            torch.from_numpy(matrix).float()[None, None],
            torch.from_numpy(pose).float()[None, None],
            torch.ones(1, 1, dtype=torch.bool),
        )
        points = marked_points(pose, matrix, (height, width), grid, far=11.0)
        in_camera = (points - pose[:3, 3]) @ pose[:3, :3]
        theirs = view_points(in_camera.T, matrix, normalize=True)[:2].T  # the devkit's projection
        ours = project_lattice(
            image_from_bev(cameras), *(torch.from_numpy(points[:, axis]).float() for axis in range(3))
        )[0, 0]
        diagonal = ours[:, range(len(points)), range(len(points)), range(len(points))]
        np.testing.assert_allclose((diagonal[:2] / diagonal[2]).T.numpy(), theirs, atol=2e-2)
        for point, pixel, depth in zip(points, theirs, in_camera[:, 2], strict=True):
            image = torch.from_numpy(blob(pixel, height, width)).float()[None, None, None]
            bev = lift(ImageFeatures(image, cameras, 1, 0.5))[0, 0]
            assert divmod(int(bev.argmax()), grid.shape[1]) == cell_at(point, grid)

            probability = torch.zeros(1, 1, 150, 45, 80)
            probability[0, 0, int((depth - 1) / 0.1), int(pixel[1] / 5), int(pixel[0] / 5)] = 1
            features = ImageFeatures(torch.ones(1, 1, 1, 45, 80), cameras, stride=5, origin=2.5)
            assert depth_lift.splat(features, probability)[0, 0, *cell_at(point, grid)] == pytest.approx(1.0)
    assert count == 6


def test_impossible_options_are_refused() -> None:
    with pytest.raises(UserError, match="heights"):
        BilinearLift(1, GRID, BilinearLiftOptions(heights=(1.0, 0.0)))
    with pytest.raises(UserError, match="depth bins"):
        DepthLift(1, GRID, DepthLiftOptions(nearest=5.0, farthest=2.0))
    with pytest.raises(UserError, match="z_range"):
        DepthLift(1, GRID, DepthLiftOptions(z_range=(2.0, 1.0)))
