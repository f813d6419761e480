"""Maps on disk: those of the encoder, computed once, whole or not at all, and never another's."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.bundle.construction import architecture, build
from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.encoders.base import BEVBackbone
from avjepa.encoders.lidar import LidarEncoder
from avjepa.errors import UserError
from avjepa.features import store as store_module
from avjepa.features.keyframes import keyframe_loader
from avjepa.features.store import FeatureKey, FeatureStore
from avjepa.geometry.grid import BEVGrid
from tests.data.conftest import VERSION
from tests.data.conftest import build as build_dataset

GRID = BEVGrid(-16.0, 16.0, -12.8, 12.8, 1.6)
SCENES = ["scene-0000", "scene-0001"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataModule:
    root = build_dataset(tmp_path_factory.mktemp("tiny") / "data", channels=("LIDAR_TOP",))
    module = DetectionDataModule(dataroot=str(root), version=VERSION, lidar_sweeps=1, batch_size=2, workers=0)
    module.setup()
    return module


@pytest.fixture(scope="module")
def encoder() -> LidarEncoder:
    torch.manual_seed(0)
    return LidarEncoder(
        GRID, voxel_size=0.8, voxel_height=1.0, z_range=(-3.0, 5.0), channels=(8, 8), blocks=(0, 0), strides=(1, 2),
        overlapping=False, bev_channels=(8, 8), bev_blocks=(0, 0), out_channels=8,
    ).eval()  # fmt: skip


@pytest.fixture
def key(encoder: LidarEncoder, data: DetectionDataModule) -> FeatureKey:
    return FeatureKey.of(encoder, data)


def filled(folder: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule) -> FeatureStore:
    store = FeatureStore.create(folder, key, encoder, ["lidar"])
    store.fill(encoder, keyframe_loader(data, SCENES, None, store.__contains__))
    return store


def test_maps_are_those_of_the_encoder(
    tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule
) -> None:
    store = filled(tmp_path, key, encoder, data)
    assert len(store) == 8
    again = FeatureStore(tmp_path, key.digest)
    assert (again.token_grid, again.out_channels, again.sensors) == (GRID, encoder.out_channels, ("lidar",))
    with torch.no_grad():
        for batch in keyframe_loader(data, SCENES):
            features = encoder(batch).features
            assert features.std() > 0
            torch.testing.assert_close(again.maps(batch), features, rtol=2e-3, atol=1e-4)
            assert again.without_data(batch) == []


def test_what_is_there_is_not_computed_again_and_each_augmentation_has_its_map(
    tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule
) -> None:
    filled(tmp_path, key, encoder, data)
    later = FeatureStore.create(tmp_path, key, encoder, ["lidar"])
    assert len(keyframe_loader(data, SCENES, None, later.__contains__)) == 0
    few = BEVAugmentation(rotation=0.3, draws=3)
    later.fill(encoder, keyframe_loader(data, SCENES[:1], few, later.__contains__))
    assert len(later) == 8 + 3 * 4


def test_two_processes_add_to_one_folder(
    tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule
) -> None:
    first, second = (FeatureStore.create(tmp_path, key, encoder, ["lidar"]) for _ in range(2))
    first.fill(encoder, keyframe_loader(data, SCENES[:1]))
    second.fill(encoder, keyframe_loader(data, SCENES[1:]))
    first.refresh()
    assert len(first) == 8 and len(second) == 4


def test_an_interrupted_computation_keeps_its_whole_shards(
    tmp_path: Path,
    key: FeatureKey,
    encoder: LidarEncoder,
    data: DetectionDataModule,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "SHARD_BYTES", 1)
    store = FeatureStore.create(tmp_path, key, encoder, ["lidar"])

    def interrupted():
        for number, batch in enumerate(keyframe_loader(data, SCENES)):
            if number == 3:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        store.fill(encoder, interrupted())
    (tmp_path / ".half.f16.x.part").write_bytes(b"half")
    (tmp_path / "unnamed.f16").write_bytes(b"written, but killed before it was named")
    again = FeatureStore.create(tmp_path, key, encoder, ["lidar"])
    assert len(again) == 6
    assert len(keyframe_loader(data, SCENES, None, again.__contains__)) == 1, "the rest alone"


@pytest.mark.parametrize("part", ["backbone", "data", "inputs"])
def test_the_maps_of_another_key_are_refused(tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, part: str) -> None:
    FeatureStore.create(tmp_path, key, encoder, ["lidar"])
    with pytest.raises(UserError, match="another backbone, other data or other inputs") as caught:
        FeatureStore.create(tmp_path, replace(key, **{part: "another"}), encoder, ["lidar"])
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_the_key_tells_weights_inputs_and_data_apart(
    encoder: LidarEncoder, data: DetectionDataModule, key: FeatureKey
) -> None:
    sweeps = DetectionDataModule(dataroot=data.dataroot, version=VERSION, lidar_sweeps=2)
    sweeps.setup()
    assert FeatureKey.of(encoder, sweeps).digest != key.digest
    other = build(BEVBackbone, architecture(encoder), "plain values").eval()
    assert FeatureKey.of(other, data).digest != key.digest, "other random weights"
    other.load_state_dict(encoder.state_dict())
    assert FeatureKey.of(other, data).digest == key.digest


@pytest.mark.parametrize("damage", ["flip", "cut", "index", "gone"])
def test_a_damaged_shard_is_named(
    tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule, damage: str
) -> None:
    filled(tmp_path / "kept", key, encoder, data)
    shutil.copytree(tmp_path / "kept", tmp_path / "copy")  # this process has seen the original to be whole
    shard = next((tmp_path / "copy").glob("*.f16"))
    match damage:
        case "flip":
            content = np.fromfile(shard, np.uint8)
            content[7] ^= 1
            content.tofile(shard)
        case "cut":
            shard.write_bytes(shard.read_bytes()[:-2])
        case "index":
            shard.with_suffix(".json").write_text('{"maps": 3}')
        case "gone":
            shard.unlink()
    with pytest.raises(UserError, match=rf"{shard.name}: is damaged .*delete the folder"):
        FeatureStore(tmp_path / "copy", key.digest)


def test_a_sample_without_a_map_is_named(
    tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule
) -> None:
    store = FeatureStore.create(tmp_path, key, encoder, ["lidar"])
    with pytest.raises(UserError, match="no map of sample sample-0-0"):
        store.maps(next(iter(keyframe_loader(data, SCENES))))
    with pytest.raises(UserError, match=r"features\.json: no such file"):
        FeatureStore(tmp_path / "nowhere", key.digest)


def test_it_is_remembered_of_what_no_sensor_had_data(
    tmp_path: Path, key: FeatureKey, encoder: LidarEncoder, data: DetectionDataModule
) -> None:
    store = FeatureStore.create(tmp_path, key, encoder, ["lidar"])
    with_data, without = list(keyframe_loader(data, SCENES))[:2]
    store.fill(encoder, [with_data, without.of_sensors([])])
    again = FeatureStore(tmp_path, key.digest)
    assert again.without_data(with_data) == [] and again.without_data(without) == list(without.tokens)
