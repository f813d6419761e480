"""Voxels hold what a naive count over the points says."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.data.sample import Points
from avjepa.encoders.lidar.voxelise import VOXEL_FEATURES, VoxelGrid, voxelised
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.sparse.tensor import SparseTensor

GRID = VoxelGrid(BEVGrid(-8.0, 8.0, -4.0, 4.0, 0.5), -1.0, 2.0, 0.25)
FEATURE = {name: column for column, name in enumerate(VOXEL_FEATURES)}


def points_of(*clouds: list[list[float]]) -> Points:
    """Clouds of (x, y, z, intensity, time_lag, ring)."""
    rows = [torch.tensor(cloud, dtype=torch.float32).reshape(-1, 6) for cloud in clouds]
    index = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(row) for row in rows]))
    return Points(torch.cat(rows), index, torch.ones(len(rows), dtype=torch.bool))


def voxels(points: Points, grid: VoxelGrid) -> SparseTensor:
    voxel, inside = grid.places_of(points)
    return voxelised(points, voxel, inside.nonzero()[:, 0], grid)


def test_two_points_in_one_voxel_by_hand():
    result = voxels(points_of([[3.1, -2.4, 0.3, 0.2, 0.0, 1], [3.2, -2.3, 0.4, 0.4, 0.1, 7]]), GRID)
    # z: (0.3 + 1) / 0.25 = 5.2; y: (-2.4 + 4) / 0.5 = 3.2; x: (3.1 + 8) / 0.5 = 22.2
    assert result.indices.tolist() == [[0, 5, 3, 22]] and result.spatial_shape == (12, 16, 32)
    # the centre is (3.25, -2.25, 0.375), the mean point (3.15, -2.35, 0.35)
    expected = [-0.1 / 0.5, -0.1 / 0.5, -0.025 / 0.25, 1.35 / 3, (3.25**2 + 2.25**2) ** 0.5 / 50, 0.3, 0.05, np.log(3)]
    torch.testing.assert_close(result.features[0], torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=1e-5)


def test_negative_coordinates_are_floored():
    """Truncation toward zero would merge the voxels on both sides of 0."""
    result = voxels(points_of([[-0.1, -0.1, -0.1, 0, 0, 0], [0.1, 0.1, 0.1, 0, 0, 0]]), GRID)
    assert result.indices.tolist() == [[0, 3, 7, 15], [0, 4, 8, 16]]


def test_lower_faces_belong_to_a_voxel_and_upper_ones_do_not():
    corners = [[-8.0, -4.0, -1.0, 0, 0, 0], [8.0, 0, 0, 0, 0, 0], [0, 4.0, 0, 0, 0, 0], [0, 0, 2.0, 0, 0, 0]]
    assert voxels(points_of(corners), GRID).indices.tolist() == [[0, 0, 0, 0]]


def test_points_that_are_no_places_are_left_out():
    nan, inf = float("nan"), float("inf")
    bad = [
        [nan, 0, 0, 0, 0, 0],
        [0, nan, 0, 0, 0, 0],
        [0, 0, nan, 0, 0, 0],
        [inf, 0, 0, 0, 0, 0],
        [0, 0, -inf, 0, 0, 0],
    ]
    result = voxels(points_of([*bad, [1, 1, 1, 0.5, 0, 0]]), GRID)
    assert len(result.indices) == 1 and result.features.isfinite().all()


def test_samples_stay_apart():
    here = [1.0, 1.0, 1.0, 0.5, 0.0, 3.0]
    result = voxels(points_of([here, here], [], [here]), GRID)
    assert result.batch_size == 3 and result.indices[:, 0].tolist() == [0, 2]
    torch.testing.assert_close(result.features[:, FEATURE["log_count"]], torch.tensor([np.log(3), np.log(2)]).float())


def test_no_points():
    result = voxels(points_of([], []), GRID)
    assert result.features.shape == (0, len(VOXEL_FEATURES)) and result.indices.shape == (0, 4)


def test_z_range_must_be_whole_voxels():
    with pytest.raises(UserError, match="z_range"):
        VoxelGrid(GRID.bev, -1.0, 2.1, 0.25)


def test_a_real_cloud_against_a_dictionary(realdata: Path):
    file = next((realdata / "nuscenes_keyframe/samples/LIDAR_TOP").glob("*.pcd.bin"))
    raw = np.fromfile(file, dtype=np.float32).reshape(-1, 5)
    cloud = np.concatenate([raw[:, :3], raw[:, 3:4] / 255, np.zeros((len(raw), 1)), raw[:, 4:]], axis=1)
    grid = VoxelGrid(BEVGrid(-40.0, 40.0, -24.0, 24.0, 0.25), -3.0, 3.0, 0.5)
    groups = defaultdict(list)
    quotients = (cloud[:, :3].astype(np.float32) - np.float32((-40, -24, -3))) / np.float32((0.25, 0.25, 0.5))
    for point, (x, y, z) in zip(cloud, np.floor(quotients).astype(int).tolist(), strict=True):
        if 0 <= x < 320 and 0 <= y < 192 and 0 <= z < 12:
            groups[z, y, x].append(point)

    result = voxels(points_of(cloud.tolist()), grid)
    SparseTensor(result.features, result.indices, result.spatial_shape, result.batch_size)  # checks the sites
    assert [tuple(row) for row in result.indices[:, 1:].tolist()] == sorted(groups)
    counts = torch.tensor([len(groups[key]) for key in sorted(groups)])
    torch.testing.assert_close(result.features[:, FEATURE["log_count"]].expm1().round().long(), counts)
    intensity = torch.tensor([np.mean(groups[key], axis=0)[3] for key in sorted(groups)]).float()
    torch.testing.assert_close(result.features[:, FEATURE["intensity"]], intensity)
    assert result.features[:, :3].abs().max() <= 0.5 + 1e-3
