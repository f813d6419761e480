import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.moment_files import MomentFiles
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.geometry.boxes import points_in_boxes

from ..conftest import VERSION


@pytest.fixture
def sample(tiny: Path) -> Sample:
    index = DatasetIndex.open(tiny, VERSION)
    inputs = SensorInputs(LidarSweeps(3), RadarSweeps(3), ImageTransform(45, 80))
    moment = int(index.moments(keyframes_only=True)[1])
    return replace(
        load_samples(MomentFiles(index), moment, (inputs,), 5)[0],
        labels=AnnotationIndex.open(index, load_taxonomy("nuscenes")).labels(moment),
    )


STRONG = BEVAugmentation(rotation=math.pi, flip_x=True, flip_y=True, scale=(0.5, 2.0), translation=3.0)


@pytest.mark.parametrize("seed", range(8))
def test_everything_moves_as_one(sample: Sample, seed: int) -> None:
    """What was in a box stays in it; what a pixel shows stays at that pixel; a target and its car stay together."""
    moved = STRONG.applied(replace(sample, seed=seed))
    assert sample.lidar is not None and moved.lidar is not None and sample.labels and moved.labels
    assert sample.cameras and moved.cameras and sample.radar is not None and moved.radar is not None
    before = points_in_boxes(sample.lidar[:, :3], sample.labels.boxes * torch.tensor([1, 1, 1, 5, 5, 5, 1, 1, 1]))
    after = points_in_boxes(moved.lidar[:, :3], moved.labels.boxes * torch.tensor([1, 1, 1, 5, 5, 5, 1, 1, 1]))
    assert before.any()
    assert torch.equal(before, after)
    torch.testing.assert_close(moved.lidar[:, 3:], sample.lidar[:, 3:])

    homogeneous = torch.cat((sample.lidar[:, :3], torch.ones(len(sample.lidar), 1)), dim=1)
    torch.testing.assert_close((homogeneous @ moved.bev_from_level.T)[:, :3], moved.lidar[:, :3], atol=1e-3, rtol=1e-4)
    for old, new, intrinsic in zip(
        sample.cameras.bev_from_camera, moved.cameras.bev_from_camera, sample.cameras.intrinsics, strict=True
    ):

        def pixels(bev_from_camera: torch.Tensor, points: torch.Tensor, k: torch.Tensor = intrinsic) -> torch.Tensor:
            camera = torch.linalg.inv(bev_from_camera.double())
            seen = (points.double() @ camera[:3, :3].T + camera[:3, 3]) @ k.double().T
            return seen[:, :2] / seen[:, 2:]

        far = (sample.lidar[:, :3] - old[:3, 3]).norm(dim=1) > 3
        torch.testing.assert_close(
            pixels(old, sample.lidar[far, :3]), pixels(new, moved.lidar[far, :3]), atol=0.05, rtol=1e-3
        )

    # advancing a radar target by its velocity and then moving the frame, or the other way round, is the same
    column = RADAR_FIELDS.index("vx_comp")
    velocity = torch.cat((sample.radar[:, column : column + 2], torch.zeros(len(sample.radar), 1)), dim=1)
    later = sample.radar[:, :3] + velocity * 0.7
    expected = later @ moved.bev_from_level[:3, :3].T + moved.bev_from_level[:3, 3]
    torch.testing.assert_close(
        moved.radar[:, :2] + moved.radar[:, column : column + 2] * 0.7, expected[:, :2], atol=1e-3, rtol=1e-4
    )
    speed = moved.labels.boxes[:, 7:].norm(dim=1) / sample.labels.boxes[:, 7:].norm(dim=1)
    size = moved.labels.boxes[:, 3] / sample.labels.boxes[:, 3]
    known = ~speed.isnan()
    torch.testing.assert_close(speed[known], size[known])


def test_left_and_right_swapped_by_hand(sample: Sample) -> None:
    flip = BEVAugmentation(rotation=0.0, flip_x=False, flip_y=True, scale=(1.0, 1.0))
    seeds = range(40)
    drawn = torch.stack([flip.drawn(seed) for seed in seeds])
    torch.testing.assert_close(
        drawn.unique(dim=0), torch.stack((torch.diag(torch.tensor([1.0, -1, 1, 1])), torch.eye(4)))
    )
    mirrored = [seed for seed in seeds if drawn[seed, 1, 1] < 0]
    assert 10 < len(mirrored) < 30
    moved = flip.applied(replace(sample, seed=mirrored[0]))
    assert sample.labels and moved.labels
    sign = torch.tensor([1.0, -1, 1, 1, 1, 1, -1, 1, -1])
    torch.testing.assert_close(moved.labels.boxes, sample.labels.boxes * sign, equal_nan=True)


def test_the_draw_depends_on_seed_and_stream_only() -> None:
    assert torch.equal(STRONG.drawn(3), STRONG.drawn(3))
    assert not torch.equal(STRONG.drawn(3), STRONG.drawn(4))
    assert not torch.equal(STRONG.drawn(3, stream=0), STRONG.drawn(3, stream=1))


def test_draws_fill_the_range() -> None:
    augmentation = BEVAugmentation(rotation=0.4, flip_x=False, flip_y=False, scale=(0.9, 1.1), translation=0.5)
    drawn = torch.stack([augmentation.drawn(seed) for seed in range(400)]).double()
    scale = torch.linalg.det(drawn[:, :3, :3]) ** (1 / 3)
    angle = torch.atan2(drawn[:, 1, 0], drawn[:, 0, 0])
    for value, low, high in ((scale, 0.9, 1.1), (angle, -0.4, 0.4)):
        assert low <= float(value.min()) < low + 0.01 * (high - low) + 0.005
        assert high - 0.01 * (high - low) - 0.005 < float(value.max()) <= high + 1e-6
    np.testing.assert_allclose(drawn[:, :3, 3].std(dim=0), 0.5, atol=0.06)


@pytest.mark.parametrize(
    "wrong", [{"rotation": -0.1}, {"scale": (0.0, 1.0)}, {"scale": (1.1, 0.9)}, {"translation": -1.0}, {"draws": 0}]
)
def test_bad_options(wrong: dict) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.{next(iter(wrong))}"):
        BEVAugmentation(**wrong)


def test_few_augmentations_are_the_same_ones_again_and_those_of_fewer_are_among_them(sample: Sample) -> None:
    few = BEVAugmentation(draws=3)
    drawn = {few.applied(replace(sample, seed=seed)).bev_from_level.numpy().tobytes() for seed in range(50)}
    assert drawn == {few.draw_of(sample.token, number).numpy().tobytes() for number in range(3)}
    assert len(drawn) == 3
    fewer = BEVAugmentation(draws=2)
    assert {fewer.draw_of(sample.token, number).numpy().tobytes() for number in range(2)} < drawn
    other = {few.draw_of("another moment", number).numpy().tobytes() for number in range(3)}
    assert not other & drawn, "every moment has its own"
