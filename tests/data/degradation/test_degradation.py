"""Degradations of a tiny recorded world."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.data.channels import NUSCENES_CHANNELS
from avjepa.data.datasets import open_dataset
from avjepa.data.degradation import (
    BlurredImages,
    DeadCameras,
    Degradation,
    DegradedReader,
    FewerBeams,
    Late,
    LidarSector,
    Miscalibrated,
    NightImages,
    RadarsOnly,
)
from avjepa.data.files.images import ImageTransform
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import BadFileError, UserError
from tests.data.conftest import VERSION

INPUTS = SensorInputs(LidarSweeps(2), RadarSweeps(1), ImageTransform(64, 112))


@pytest.fixture(scope="module")
def source(tiny: Path) -> DrivingDataset:
    return open_dataset(tiny, VERSION, NUSCENES_CHANNELS, load_taxonomy("nuscenes"))


def sample_of(
    source: DrivingDataset, degradation: Degradation | None = None, moment: int = -1, seed: int = 0
) -> Sample:
    number = int(source.moments(keyframes_only=True)[moment])
    reader = source if degradation is None else DegradedReader(source, source, degradation, seed)
    (sample,) = load_samples(reader, number, (INPUTS,))
    return sample


def test_a_dead_camera_is_the_same_one_at_all_moments(source: DrivingDataset) -> None:
    whole = sample_of(source).cameras
    assert whole is not None
    outcomes = set()
    for seed in range(8):
        first, last = (sample_of(source, DeadCameras(3), moment, seed).cameras for moment in (0, -1))
        channels = () if first is None else first.channels
        assert channels == (() if last is None else last.channels)
        assert set(channels) <= set(whole.channels)
        outcomes.add(channels)
        if last is not None:
            kept = [whole.channels.index(channel) for channel in last.channels]
            assert torch.equal(last.images, whole.images[kept])
            assert torch.equal(last.bev_from_camera, whole.bev_from_camera[kept])
    assert len(outcomes) > 1
    assert sample_of(source, DeadCameras(6)).cameras is None


def test_fewer_beams_are_spread_over_all(source: DrivingDataset) -> None:
    whole, four = sample_of(source).lidar, sample_of(source, FewerBeams(4, 32)).lidar
    assert whole is not None and four is not None
    assert set(four[:, 5].tolist()) <= {4.0, 12.0, 20.0, 28.0}
    assert torch.equal(four, whole[torch.isin(whole[:, 5], torch.tensor([4.0, 12.0, 20.0, 28.0]))])
    every = sample_of(source, FewerBeams(32, 32)).lidar
    assert every is not None and torch.equal(every, whole)


def test_a_sector_is_seen_from_the_vehicle(source: DrivingDataset) -> None:
    whole, ahead = sample_of(source).lidar, sample_of(source, LidarSector(60.0)).lidar
    assert whole is not None and ahead is not None and 0 < len(ahead) < len(whole)
    inside = whole[(whole[:, 0] > 0) & (whole[:, 1].abs() <= whole[:, 0] * math.tan(math.radians(60)))]
    assert torch.equal(ahead, inside)


def test_the_front_radar_alone(source: DrivingDataset) -> None:
    whole, front = sample_of(source).radar, sample_of(source, RadarsOnly(1)).radar
    assert whole is not None and front is not None and 0 < len(front) < len(whole)
    assert torch.equal(front, whole[: len(front)]), "its returns come first"


def test_night_and_blur_change_images_alone(source: DrivingDataset) -> None:
    whole = sample_of(source)
    assert whole.cameras is not None and whole.lidar is not None
    for degradation in (NightImages(), BlurredImages()):
        changed = sample_of(source, degradation)
        assert changed.cameras is not None and changed.lidar is not None
        assert torch.equal(changed.lidar, whole.lidar)
        again = sample_of(source, degradation).cameras
        assert again is not None and torch.equal(again.images, changed.cameras.images)
    night, blur = (
        sample_of(source, NightImages(0.05, 0.0)).cameras, sample_of(source, BlurredImages(0.02)).cameras
    )  # fmt: skip
    assert night is not None and blur is not None
    # a twentieth of the light: 255 becomes 255 · .05^(1/2.2)
    expected = (whole.cameras.images * 0.05 ** (1 / 2.2)).round()
    assert torch.equal(night.images.float(), expected)
    assert (blur.images.float().mean() - whole.cameras.images.float().mean()).abs() < 1
    assert blur.images.float().std((2, 3)).mean() < whole.cameras.images.float().std((2, 3)).mean()


def test_a_miscalibrated_sensor_is_turned_and_shifted_by_so_much(source: DrivingDataset) -> None:
    whole, off = sample_of(source), sample_of(source, Miscalibrated(1.0, 0.1))
    assert whole.cameras is not None and off.cameras is not None
    displacement = torch.linalg.inv(whole.cameras.bev_from_camera.double()) @ off.cameras.bev_from_camera.double()
    angles = torch.arccos((displacement[:, :3, :3].diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).rad2deg()
    torch.testing.assert_close(angles, torch.ones(len(angles), dtype=torch.float64), rtol=0, atol=0.01)
    shift = displacement[:, :3, 3].norm(dim=1)
    torch.testing.assert_close(shift, torch.full_like(shift, 0.1), rtol=0, atol=1e-4)
    assert whole.lidar is not None and off.lidar is not None
    moved = (off.lidar - whole.lidar)[:, :3].norm(dim=1)
    assert (moved <= 0.1 + math.radians(1.0) * whole.lidar[:, :3].norm(dim=1) + 1e-4).all() and moved.max() > 0.1
    assert torch.equal(off.lidar[:, 3:], whole.lidar[:, 3:])
    elsewhere = sample_of(source, Miscalibrated(1.0, 0.1), seed=1).cameras
    assert elsewhere is not None and not torch.equal(elsewhere.bev_from_camera, off.cameras.bev_from_camera)


def test_a_late_sensor_gives_what_it_saw_before(source: DrivingDataset) -> None:
    numbers = source.moments()
    last = int(source.moments(keyframes_only=True)[-1])
    gap = min((source.time_of(last) - source.time_of(int(n))) * 1e-6 for n in numbers if n < last)
    late = Late("lidar", gap)
    before = late.earlier(last, source)
    assert before is not None and (source.time_of(last) - source.time_of(before)) * 1e-6 == pytest.approx(gap, abs=1e-3)
    (then,) = load_samples(source, before, (INPUTS,))
    shown, whole = sample_of(source, late), sample_of(source)
    assert shown.lidar is not None and then.lidar is not None and shown.radar is not None and whole.radar is not None
    assert torch.equal(shown.lidar, then.lidar) and torch.equal(shown.radar, whole.radar)
    assert np.array_equal(shown.global_from_level, whole.global_from_level)
    first = sample_of(source, late, moment=0)
    assert first.lidar is None or len(first.lidar) == 0


def test_a_bad_file_of_a_late_sensor_is_that_which_is_shown(copy: Path) -> None:
    source = open_dataset(copy, VERSION, NUSCENES_CHANNELS, load_taxonomy("nuscenes"))
    last = int(source.moments(keyframes_only=True)[-1])
    late = Late("lidar", min((source.time_of(last) - source.time_of(n)) * 1e-6 for n in range(last)))
    before = late.earlier(last, source)
    assert before is not None

    def bad_files(moment: int) -> list[str]:
        return [file.error.path for file in source.read(moment, (INPUTS,)).bad if file.offset == 0]

    files = set(copy.glob("s*/LIDAR_TOP/*"))
    for path in files:
        path.write_bytes(b"123")
    (own,), (earlier,) = bad_files(last), bad_files(before)
    read = late.read(last, (INPUTS,), source, source, seed=0)
    assert own not in [file.error.path for file in read.bad] and own != earlier
    with pytest.raises(BadFileError, match=earlier):
        load_samples(DegradedReader(source, source, late), last, (INPUTS,))


def test_a_sensor_that_records_keyframes_alone_cannot_be_late(source: DrivingDataset) -> None:
    with pytest.raises(UserError, match="has no camera data between its keyframes"):
        sample_of(source, Late("camera", 0.1))
