"""Camera and radar input for benchmarks: six cameras around the vehicle, five radars' returns, all made up."""

import math

import torch
from torch import Tensor

from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.sample import Batch, Cameras, Points
from avjepa.geometry.grid import BEVGrid

YAWS = (0.0, -55.0, -110.0, 180.0, 110.0, 55.0)
"""Headings of the cameras of nuScenes in degrees; the rear one sees twice as wide."""


def camera_batch(image_size: tuple[int, int], batch_size: int, device: torch.device) -> Batch:
    """Noise in six images of (height, width) pixels, with the geometry of nuScenes."""
    height, width = image_size
    scale = max(height / 900, width / 1600)
    poses, intrinsics = torch.eye(4).repeat(6, 1, 1), torch.eye(3).repeat(6, 1, 1)
    for view, yaw in enumerate(math.radians(degrees) for degrees in YAWS):
        cos, sin = math.cos(yaw), math.sin(yaw)
        poses[view, :3, :3] = torch.tensor([[sin, 0.0, cos], [-cos, 0.0, sin], [0.0, -1.0, 0.0]])
        poses[view, :3, 3] = torch.tensor((0.8 + 0.8 * cos, 0.5 * sin, 1.5))
        focal = (800.0 if view == 3 else 1260.0) * scale
        intrinsics[view, 0, 0] = intrinsics[view, 1, 1] = focal
        intrinsics[view, :2, 2] = torch.tensor((width / 2, 480 * scale - (900 * scale - height)))
    cameras = Cameras(
        torch.randint(0, 256, (batch_size, 6, 3, height, width), dtype=torch.uint8),
        intrinsics.repeat(batch_size, 1, 1, 1),
        poses.repeat(batch_size, 1, 1, 1),
        torch.ones(batch_size, 6, dtype=torch.bool),
    )
    return _batch(batch_size, cameras=cameras).to(device)


def radar_batch(returns: int, grid: BEVGrid, batch_size: int, device: torch.device) -> Batch:
    """So many returns per sample, spread over the grid."""
    features: Tensor = torch.zeros(batch_size * returns, len(RADAR_FIELDS))
    low, high = torch.tensor((grid.x_min, grid.y_min)), torch.tensor((grid.x_max, grid.y_max))
    features[:, :2] = low + (high - low) * torch.rand(len(features), 2)
    features[:, 2:7] = torch.randn(len(features), 5)
    features[:, 7:] = torch.randint(0, 4, (len(features), 9)).float()
    index = torch.arange(batch_size).repeat_interleave(returns)
    return _batch(batch_size, radar=Points(features, index, torch.ones(batch_size, dtype=torch.bool))).to(device)


def _batch(size: int, cameras: Cameras | None = None, radar: Points | None = None) -> Batch:
    return Batch(
        tokens=tuple(f"sample-{i}" for i in range(size)),
        scenes=("scene",) * size,
        seeds=torch.arange(size),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(size, 1, 1),
        bev_from_level=torch.eye(4).repeat(size, 1, 1),
        cameras=cameras,
        radar=radar,
    )
