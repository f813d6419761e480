"""A rig whose sensors have other names than those of nuScenes, and one with two LiDARs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avjepa.data.channels import SensorChannels
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
from avjepa.data.sample import Batch
from avjepa.errors import UserError

from ..conftest import VERSION
from ..nuscenes.test_index import edit

OTHER_NAMES = {
    "LIDAR_TOP": "LIDAR_FRONT_LEFT",
    "CAM_FRONT": "CAMERA_LEFT_FRONT",
    "CAM_BACK": "CAMERA_REAR",
    "RADAR_FRONT": "ARS430_1",
    "RADAR_BACK_LEFT": "ARS430_2",
}
OTHERS = SensorChannels(("LIDAR_FRONT_LEFT",), ("CAMERA_LEFT_FRONT", "CAMERA_REAR"), ("ARS430_1", "ARS430_2"))
SENSORS = ["lidar", "camera", "radar"]


def batches(root: Path, **options: Any) -> list[Batch]:
    settings = {"version": VERSION, "sensors": SENSORS, "image_size": (45, 80), "workers": 0, **options}
    module = DetectionDataModule(dataroot=str(root), lidar_sweeps=3, **settings)
    module.setup()
    return list(module.predict_dataloader())


@pytest.fixture
def renamed(copy: Path) -> Path:
    edit(copy, "sensor", lambda rows: [row | {"channel": OTHER_NAMES[row["channel"]]} for row in rows])
    return copy


def edited(root: Path, table: str, more: Any) -> None:
    path = root / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(rows + [one for row in rows if (one := more(row)) is not None]))


def test_sensors_with_other_names_are_read_as_the_mapping_says(tiny: Path, renamed: Path) -> None:
    expected = batches(tiny)
    found = batches(renamed, channels=OTHERS)
    assert [batch.tokens for batch in found] == [batch.tokens for batch in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.lidar is not None and other.lidar is not None and one.radar is not None and other.radar is not None
        assert torch.equal(one.lidar.features, other.lidar.features) and len(one.lidar.features) > 0
        assert torch.equal(one.radar.features, other.radar.features) and len(one.radar.features) > 0
        assert one.cameras is not None and other.cameras is not None
        assert torch.equal(one.cameras.images, other.cameras.images) and one.cameras.present.all()


def test_without_the_mapping_training_says_which_channels_there_are(renamed: Path) -> None:
    module = PretrainDataModule(dataroot=str(renamed), version=VERSION, split=None)
    with pytest.raises(UserError) as caught:
        module.prepare_data()  # before anything is built or written
    message = str(caught.value)
    assert "has no lidar channel (LIDAR_TOP); its channels are" in message and "ARS430_1" in message
    assert "lidar: [CHANNEL, ...]" in message and "--data.channels FILE.yaml" in message


def test_a_mapping_that_names_a_channel_which_is_not_there_lists_those_that_are(tiny: Path) -> None:
    with pytest.raises(UserError) as caught:
        batches(tiny, channels=OTHERS)
    assert "has no 'LIDAR_FRONT_LEFT'; its channels are CAM_BACK, CAM_FRONT, LIDAR_TOP" in str(caught.value)


def test_inspect_says_what_the_mapping_does_not_use(tiny: Path, renamed: Path) -> None:
    assert inspect_dataset(tiny, VERSION).unused_channels == ()
    assert set(inspect_dataset(renamed, VERSION).unused_channels) == set(OTHER_NAMES.values())
    lidar_alone = SensorChannels(lidar=("LIDAR_FRONT_LEFT",))
    unused = inspect_dataset(renamed, VERSION, sensors=lidar_alone).unused_channels
    assert set(unused) == {*OTHERS.cameras, *OTHERS.radars}
    with pytest.raises(UserError, match="has no 'LIDAR_X'"):
        inspect_dataset(renamed, VERSION, sensors=SensorChannels(lidar=("LIDAR_X",)))


def test_the_cloud_of_a_moment_holds_the_points_of_all_its_lidars(copy: Path) -> None:
    """A second LiDAR that stands 1 m to the left of the first one and sees the same."""
    edited(
        copy,
        "sensor",
        lambda row: row | {"token": "s2", "channel": "LIDAR_LEFT"} if "LIDAR" in row["channel"] else None,
    )
    edited(
        copy,
        "calibrated_sensor",
        lambda row: (
            row | {"token": "c2", "sensor_token": "s2", "translation": [0.9, 1.0, 1.8]}
            if "LIDAR" in row["token"]
            else None
        ),
    )
    edited(
        copy,
        "sample_data",
        lambda row: (
            row | {"token": row["token"] + "-2", "calibrated_sensor_token": "c2", "prev": "", "next": ""}
            if "LIDAR" in row["token"]
            else None
        ),
    )
    one = batches(copy, sensors=["lidar"], channels=SensorChannels(lidar=("LIDAR_TOP",)))
    two = batches(copy, sensors=["lidar"], channels=SensorChannels(lidar=("LIDAR_TOP", "LIDAR_LEFT")))
    assert [batch.tokens for batch in one] == [batch.tokens for batch in two]
    for single, double in zip(one, two, strict=True):
        assert single.lidar is not None and double.lidar is not None
        for sample in range(len(single)):
            first = single.lidar.features[single.lidar.batch_index == sample]
            both = double.lidar.features[double.lidar.batch_index == sample]
            assert torch.equal(both[: len(first)], first)
            rest = both[len(first) :]
            newest = first[:, 4] == 0
            np.testing.assert_allclose(rest[rest[:, 4] == 0][:, 1], first[newest][:, 1] + 1.0, atol=1e-4)


def test_scenes_that_are_trained_on_and_scored_are_said(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = copy / VERSION / "splits.json"
    splits = json.loads(path.read_text())
    train, val = (name for name in splits if splits[name])
    module = DetectionDataModule(dataroot=str(copy), version=VERSION, train_split=train, eval_split=val, workers=0)
    module.setup()
    module.train_dataloader()
    assert not caplog.records
    path.write_text(json.dumps(splits | {val: splits[train]}))
    module = DetectionDataModule(dataroot=str(copy), version=VERSION, train_split=train, eval_split=val, workers=0)
    module.setup()
    module.train_dataloader()
    assert splits[train][0] in caplog.text and repr(val) in caplog.text
