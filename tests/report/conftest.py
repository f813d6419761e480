"""Samples to draw: an asymmetric one made by hand, and the real keyframe."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avjepa.data.files.images import ImageTransform
from avjepa.data.labels import Labels
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.moment_files import MomentFiles
from avjepa.data.reading import load_samples
from avjepa.data.sample import CameraImages, Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.data.taxonomy import load_taxonomy

CLASSES = load_taxonomy("nuscenes").classes


def labels_of(rows: list[list[float]], classes: list[str], lidar_points: int = 5) -> Labels:
    count = len(rows)
    return Labels(
        boxes=torch.tensor(rows, dtype=torch.float32).reshape(count, 9),
        class_index=torch.tensor([CLASSES.index(name) for name in classes], dtype=torch.int64),
        lidar_points=torch.full((count,), lidar_points),
        radar_points=torch.zeros(count, dtype=torch.int64),
        visibility=torch.zeros(count, dtype=torch.int64),
        track_ids=torch.arange(count),
    )


def empty_sample() -> Sample:
    return Sample(
        token="token <b>", scene="scene-0001", timestamp=1_500_000, seed=0,
        global_from_level=torch.eye(4, dtype=torch.float64), bev_from_level=torch.eye(4),
    )  # fmt: skip


@pytest.fixture
def hand_made() -> Sample:
    """A car ahead on the left, a pedestrian behind on the right, one camera that looks forward, a few points."""
    generator = torch.Generator().manual_seed(0)
    lidar = torch.rand(200, 6, generator=generator) * torch.tensor([40.0, 40, 3, 1, 0, 31]) - torch.tensor(
        [20.0, 20, 0, 0, 0, 0]
    )
    radar = torch.zeros(2, 16)
    radar[:, :2] = torch.tensor([[10.0, 5.0], [15.0, -5.0]])
    radar[0, 5] = 4.0
    camera_axes = torch.tensor([[0.0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]])
    cameras = CameraImages(
        images=torch.randint(0, 255, (1, 3, 90, 160), dtype=torch.uint8, generator=generator),
        intrinsics=torch.tensor([[[100.0, 0, 80], [0, 100, 45], [0, 0, 1]]]),
        bev_from_camera=camera_axes[None],
        channels=("CAM_FRONT",),
        rig=("CAM_FRONT",),
    )
    labels = labels_of(
        [[12, 5, 0.8, 4.5, 1.9, 1.6, 0.2, 3, 0], [-9, -6, 0.9, 0.6, 0.6, 1.8, 1.0, float("nan"), float("nan")]],
        ["car", "pedestrian"],
    )
    base = empty_sample()
    return Sample(
        base.token, base.scene, base.timestamp, base.seed, base.global_from_level, base.bev_from_level,
        lidar, radar, cameras, labels,
    )  # fmt: skip


@pytest.fixture(scope="session")
def real_keyframe(realdata: Path) -> Sample:
    """The real keyframe with all its sensors and labels, read by the project's own loaders."""
    index = DatasetIndex.open(realdata / "nuscenes_keyframe", "v1.0-mini")
    inputs = SensorInputs(LidarSweeps(), RadarSweeps(), ImageTransform(900, 1600))
    moment = int(index.moments(keyframes_only=True)[0])
    sample = load_samples(MomentFiles(index), moment, (inputs,))[0]
    return replace(sample, labels=AnnotationIndex.open(index, load_taxonomy("nuscenes")).labels(moment))
