"""A fused backbone of small branches, and batches for it."""

import torch
from torch import Tensor

from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.sample import Batch, Cameras, Points
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.camera import CameraEncoder
from avjepa.encoders.camera.image_backbone import ImageBackboneOptions
from avjepa.encoders.camera.lift_bilinear import BilinearLiftOptions
from avjepa.encoders.lidar import LidarEncoder
from avjepa.encoders.radar import RadarEncoder
from avjepa.fusion import FusedBackbone
from avjepa.fusion.fusers import FuserOptions, MaskedMeanOptions
from avjepa.geometry.grid import BEVGrid

GRID = BEVGrid(-12.8, 12.8, -6.4, 6.4, 1.6)  # 8 rows, 16 columns
SENSORS = ("lidar", "camera", "radar")


def branch(sensor: str) -> SensorEncoder:
    if sensor == "lidar":
        return LidarEncoder(
            GRID, voxel_size=0.4, voxel_height=0.5, z_range=(-3.0, 5.0), channels=(8, 8), blocks=(0, 0),
            strides=(2, 2), overlapping=False, bev_channels=(8,), bev_blocks=(1,), out_channels=6,
        )  # fmt: skip
    if sensor == "radar":
        return RadarEncoder(GRID.refined(2), pillar_channels=8, bev_channels=(8,), bev_blocks=(0,), out_channels=5)
    options = ImageBackboneOptions(
        "resnet", {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]}, (1, 2)
    )
    return CameraEncoder(
        GRID, options, BilinearLiftOptions(heights=(0.0, 1.5)), image_channels=8, bev_channels=(8,), bev_blocks=(0,),
        out_channels=7,
    )  # fmt: skip


def fused(sensors: tuple[str, ...] = SENSORS, fuser: FuserOptions | None = None, seed: int = 0) -> FusedBackbone:
    torch.manual_seed(seed)
    return FusedBackbone(
        {sensor: branch(sensor) for sensor in sensors}, channels=8, bev_channels=(8,), bev_blocks=(0,), out_channels=9,
        fuser=fuser or MaskedMeanOptions(), token_grid=GRID,
    )  # fmt: skip


def points(seed: int, fields: int, samples: int, each: int) -> Points:
    generator = torch.Generator().manual_seed(seed)
    features = torch.zeros(samples * each, fields)
    features[:, :2] = (torch.rand(samples * each, 2, generator=generator) - 0.5) * torch.tensor([24.0, 12.0])
    features[:, 2] = 2 * torch.rand(samples * each, generator=generator)
    return Points(features, torch.arange(samples).repeat_interleave(each), torch.ones(samples, dtype=torch.bool))


def cameras(seed: int, samples: int) -> Cameras:
    """One camera, 1.5 m above the ground, looking along x."""
    generator = torch.Generator().manual_seed(seed)
    bev_from_camera = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    return Cameras(
        torch.randint(0, 256, (samples, 1, 3, 64, 96), dtype=torch.uint8, generator=generator),
        torch.tensor([[48.0, 0, 48], [0, 48, 32], [0, 0, 1]]).expand(samples, 1, 3, 3).clone(),
        bev_from_camera.expand(samples, 1, 4, 4).clone(),
        torch.ones(samples, 1, dtype=torch.bool),
    )


def batch_of(seeds: list[int]) -> Batch:
    """Samples that are functions of their seeds, with all sensors."""
    size = len(seeds)
    clouds = {
        name: [points(seed, fields, 1, each).features for seed in seeds]
        for name, fields, each in (("lidar", 6, 150), ("radar", len(RADAR_FIELDS), 30))
    }
    images = torch.cat([cameras(seed, 1).images for seed in seeds])
    rig = cameras(0, size)
    return Batch(
        tokens=tuple(f"token-{seed}" for seed in seeds),
        scenes=("scene",) * size,
        seeds=torch.tensor(seeds),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(size, 1, 1),
        bev_from_level=torch.eye(4).repeat(size, 1, 1),
        lidar=_joined(clouds["lidar"]),
        radar=_joined(clouds["radar"]),
        cameras=Cameras(images, rig.intrinsics, rig.bev_from_camera, rig.present),
    )


def _joined(clouds: list[Tensor]) -> Points:
    index = torch.arange(len(clouds)).repeat_interleave(torch.tensor([len(cloud) for cloud in clouds]))
    return Points(torch.cat(clouds), index, torch.ones(len(clouds), dtype=torch.bool))
