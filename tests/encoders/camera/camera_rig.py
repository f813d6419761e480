"""Six asymmetric cameras on a grid that is not square, and the projection written out in float64."""

import numpy as np
import torch
from numpy.typing import NDArray
from pyquaternion import Quaternion

from avjepa.bundle.construction import build
from avjepa.data.sample import Batch, Cameras
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.camera.encoder import CameraEncoder
from avjepa.geometry.grid import BEVGrid

Array = NDArray[np.float64]

GRID = BEVGrid(x_min=-16.0, x_max=24.0, y_min=-12.0, y_max=18.4, cell=0.8)
"""50 columns along x, 38 rows along y; neither centred."""
HEIGHT, WIDTH = 96, 160

YAWS = (0.05, -0.95, -1.95, 3.05, 1.90, 0.98)
PITCHES = (0.06, 0.10, 0.02, 0.08, 0.12, 0.04)
ROLLS = (0.010, -0.020, 0.015, 0.0, -0.010, 0.025)
POSITIONS = ((1.7, 0.1, 1.5), (1.5, -0.5, 1.6), (1.0, -0.6, 1.55), (0.0, 0.05, 1.65), (1.1, 0.6, 1.5), (1.6, 0.45, 1.6))
FOCALS = (120.0, 124.0, 118.0, 84.0, 121.0, 117.0)
CENTRES = ((82.3, 47.1), (78.9, 49.5), (81.0, 46.2), (79.2, 50.3), (83.1, 48.8), (77.6, 45.9))


def bev_from_camera(view: int) -> Array:
    """Pose of a camera (x right, y down, z forward), pitched down and rolled a little."""
    level = Quaternion(axis=(0, 0, 1), radians=YAWS[view]) * Quaternion(axis=(0, 1, 0), radians=PITCHES[view])
    axes = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # right, down, ahead in ego axes
    pose = np.eye(4)
    pose[:3, :3] = level.rotation_matrix @ axes @ Quaternion(axis=(0, 0, 1), radians=ROLLS[view]).rotation_matrix
    pose[:3, 3] = POSITIONS[view]
    return pose


def intrinsics(view: int) -> Array:
    (cx, cy), focal = CENTRES[view], FOCALS[view]
    return np.array([[focal, 0.0, cx], [0.0, focal * 1.03, cy], [0.0, 0.0, 1.0]])


def projected(points: Array, pose: Array, matrix: Array) -> tuple[Array, Array]:
    """(u, v) in pixels and depth in metres of BEV points (n, 3)."""
    camera_from_bev = np.linalg.inv(pose)
    in_camera = points @ camera_from_bev[:3, :3].T + camera_from_bev[:3, 3]
    depth = in_camera[:, 2]
    pixels = in_camera @ matrix.T
    return pixels[:, :2] / np.where(depth > 0, depth, np.nan)[:, None], depth


def rig(images: torch.Tensor | None = None, batch: int = 1, views: tuple[int, ...] = tuple(range(6))) -> Cameras:
    """The cameras; random images unless given."""
    if images is None:
        noise = torch.Generator().manual_seed(3)
        images = torch.randint(0, 256, (batch, len(views), 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=noise)
    poses = torch.from_numpy(np.stack([bev_from_camera(v) for v in views])).float()
    matrices = torch.from_numpy(np.stack([intrinsics(v) for v in views])).float()
    return Cameras(
        images, matrices.repeat(batch, 1, 1, 1), poses.repeat(batch, 1, 1, 1), torch.ones(batch, len(views)).bool()
    )


def batch_of(cameras: Cameras | None, seeds: tuple[int, ...] = (11,)) -> Batch:
    count = len(seeds)
    return Batch(
        tokens=tuple(f"token-{i}" for i in range(count)),
        scenes=("scene",) * count,
        seeds=torch.tensor(seeds),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(count, 1, 1),
        bev_from_level=torch.eye(4).repeat(count, 1, 1),
        cameras=cameras,
    )


BACKBONES = {
    "resnet": {
        "config": {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1]},
        "out_indices": [1, 2, 3],
        "patch": 16,
    },
    "convnextv2": {
        "config": {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1]}, "out_indices": [1, 2, 3], "patch": 16,
    },
    "swin": {
        "config": {"embed_dim": 8, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 2], "window_size": 4},
        "out_indices": [1, 2, 3],
        "patch": 16,
    },
    "dinov2": {
        "config": {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 56},
        "out_indices": [1, 3],
        "patch": 14,
    },
    "dinov3_vit": {
        "config": {
            "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
            "num_register_tokens": 2,
        },
        "out_indices": [1, 3],
        "patch": 16,
    },
    "dinov3_convnext": {
        "config": {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1]}, "out_indices": [1, 2, 3], "patch": 16,
    },
    "efficientnet_lite0": {"config": {}, "out_indices": [1, 2, 3], "patch": 16},
}  # fmt: skip

BILINEAR = {"heights": [0.0, 0.8, 1.6]}
DEPTH = {"bins": 20, "farthest": 21.0, "context_channels": 8}


def encoder(architecture: str = "resnet", lift: dict[str, object] = BILINEAR, **changes: object) -> CameraEncoder:
    """A small camera encoder, built from plain values as YAML gives them."""
    torch.manual_seed(0)
    arguments: dict[str, object] = {
        "token_grid": {"x_min": -16.0, "x_max": 24.0, "y_min": -12.0, "y_max": 18.4, "cell": 0.8},
        "backbone": {"architecture": architecture, **BACKBONES[architecture]},
        "lift": lift,
        "image_channels": 8,
        "bev_channels": [8, 12],
        "bev_blocks": [0, 1],
        "out_channels": 10,
        **changes,
    }
    built = build(SensorEncoder, {"class_path": "avjepa.encoders.camera.CameraEncoder", "init_args": arguments}, "test")
    assert isinstance(built, CameraEncoder)
    return built
