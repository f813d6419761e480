"""LiDAR clouds to measure with: from a nuScenes root, or of an invented street."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avjepa.data.files.affine import MergedCloud
from avjepa.data.files.lidar import bev_from_lidar_file, without_vehicle
from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.files.pointfiles import read_lidar
from avjepa.data.sample import Batch, Points
from avjepa.errors import UserError

# nuScenes' mounting, near enough for a benchmark: x right, y forward, .94 m ahead of the rear axle, 1.84 m above ground
_EGO_FROM_LIDAR = np.array([[0, 1, 0, 0.94], [-1, 0, 0, 0], [0, 0, 1, 1.84], [0, 0, 0, 1.0]])


def lidar_batch(data: Path | None, batch_size: int, device: torch.device) -> Batch:
    """A batch of keyframe clouds; files are used more than once if there are fewer than samples."""
    if data is None:
        clouds = [street_cloud(seed) for seed in range(batch_size)]
    else:
        files = sorted((data / "samples" / "LIDAR_TOP").glob("*.pcd.bin"))[:batch_size]
        if not files:
            raise UserError(f"{data}: no samples/LIDAR_TOP/*.pcd.bin; name the root of a nuScenes dataset")
        clouds = [_read(files[i % len(files)]) for i in range(batch_size)]
    index = torch.repeat_interleave(torch.arange(batch_size), torch.tensor([len(cloud) for cloud in clouds]))
    return Batch(
        tokens=tuple(str(i) for i in range(batch_size)),
        scenes=("benchmark",) * batch_size,
        seeds=torch.arange(batch_size),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(batch_size, 1, 1),
        bev_from_level=torch.eye(4).repeat(batch_size, 1, 1),
        lidar=Points(torch.cat(clouds), index, torch.ones(batch_size, dtype=torch.bool)),
    ).to(device)


def _read(path: Path) -> Tensor:
    cloud = MergedCloud(len(LIDAR_FIELDS), 1)
    cloud.add(without_vehicle(read_lidar(path)), bev_from_lidar_file(_EGO_FROM_LIDAR, 0.0))
    return cloud.points()


def street_cloud(seed: int, beams: int = 32, columns: int = 1085) -> Tensor:
    """Returns of a spinning LiDAR from flat ground, two rows of house fronts and 120 upright cylinders.

    Columns: ``LIDAR_FIELDS``.
    """
    generator = torch.Generator().manual_seed(seed)
    azimuth = torch.arange(columns) / columns * 2 * torch.pi
    elevation = torch.deg2rad(torch.linspace(-30.7, 10.7, beams))
    direction = torch.stack((azimuth.cos(), azimuth.sin()), dim=1)

    # house fronts at y = ±12 m with gaps, cylinders of .3 to 1 m radius and 1 to 4 m height
    front = 12 / direction[:, 1].abs().clamp(min=1e-3)
    gap = ((front * direction[:, 0]) // 15 % 4 == seed % 4) | (front > 80)
    front = torch.where(gap, torch.inf, front)
    centre = (torch.rand(120, 2, generator=generator) - 0.5) * torch.tensor([100.0, 22.0])
    radius = 0.3 + 0.7 * torch.rand(120, generator=generator)
    height = 1 + 3 * torch.rand(120, generator=generator)
    along = direction @ centre.T
    across = (direction[:, :1] * centre[:, 1] - direction[:, 1:] * centre[:, 0]).abs()
    hit = (along > 1.5) & (across < radius)
    distance = torch.where(hit, along - (radius**2 - across**2).clamp(min=0).sqrt(), torch.inf)

    slope = elevation.tan()
    ground = torch.where(slope < 0, -1.84 / slope, torch.inf)
    reaches = 1.84 + distance[..., None] * slope < height[:, None]
    cylinder = torch.where(reaches, distance[..., None], torch.inf).amin(1)
    range_ = torch.minimum(torch.minimum(cylinder, front[:, None]), ground.expand(columns, -1))
    range_ = range_ + 0.02 * torch.randn(range_.shape, generator=generator)
    kept = (range_ < 80) & (torch.rand(range_.shape, generator=generator) > 0.05)
    column, beam = kept.nonzero(as_tuple=True)
    horizontal = range_[kept]
    xy = direction[column] * horizontal[:, None]
    z = 1.84 + horizontal * slope[beam]
    intensity = torch.rand(len(z), generator=generator)
    return torch.stack((xy[:, 0], xy[:, 1], z, intensity, torch.zeros_like(z), beam.float()), dim=1)
