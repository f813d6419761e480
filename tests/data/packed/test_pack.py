"""A cache gives the samples that the files give, to the bit, or says in one line why not."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.augmentation.gt_sampling import GTSampling
from avjepa.data.files.radar import RadarFilter
from avjepa.data.loading.base_datamodule import DataModule
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.data.packed import packing
from avjepa.data.packed.packing import pack
from avjepa.data.sample import Batch
from avjepa.errors import BadFileError, UserError
from tests.data.conftest import VERSION

ALL = {
    "sensors": ["lidar", "camera", "radar"], "lidar_sweeps": 2, "radar_sweeps": 2, "target_sweeps_before": 1,
    "target_sweeps_after": 2, "target_sweep_stride": 2, "image_size": (45, 80),
    "radar_filter": RadarFilter(dynamic_properties=(0, 1, 3)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def several_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SHARD_BYTES", 150_000)


def module(kind: type[DataModule], root: Path, **options: Any) -> Any:
    data = kind(dataroot=str(root), **({"version": VERSION, "workers": 0, "batch_size": 3} | options))
    data.setup()
    return data


def packed(data: DataModule, folder: Path, **options: Any) -> Path:
    """A cache of all that a data module reads."""
    pack(folder, data.open(), data.all_inputs(), data.all_moments(), **({"workers": 1} | options))
    return folder


def require_equal(one: Batch, other: Batch) -> None:
    assert one.tokens == other.tokens and one.scenes == other.scenes
    for name in ("seeds", "global_from_level", "bev_from_level"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    for mine, theirs in ((one.lidar, other.lidar), (one.radar, other.radar)):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert torch.equal(mine.features, theirs.features) and torch.equal(mine.batch_index, theirs.batch_index)
    assert (one.cameras is None) == (other.cameras is None)
    if one.cameras is not None and other.cameras is not None:
        for name in ("images", "intrinsics", "bev_from_camera", "present"):
            assert torch.equal(getattr(one.cameras, name), getattr(other.cameras, name))


def test_pairs_of_views_of_all_sensors_equal_those_of_the_files(tiny: Path, tmp_path: Path) -> None:
    options = ALL | {"split": None, "augmentation": BEVAugmentation()}
    files = module(PretrainDataModule, tiny, **options)
    cache = packed(files, tmp_path / "cache", workers=2)
    assert len(list(cache.glob("*.bin"))) > 3
    cached = module(PretrainDataModule, tiny, **options, cache=str(cache))
    pairs = list(zip(files.train_dataloader(), cached.train_dataloader(), strict=True))
    assert sum(len(one) for one, _ in pairs) >= len(files.dataset)
    for one, other in pairs:
        require_equal(one.context, other.context)
        require_equal(one.target, other.target)


def test_a_cache_serves_trainings_that_need_less(tiny: Path, tmp_path: Path) -> None:
    """Packed for pre-training with further sweeps; labelled keyframes of one sensor, with pasted objects, read it."""
    cache = packed(module(PretrainDataModule, tiny, **ALL, split=None), tmp_path / "cache")
    options = {"sensors": ["lidar"], "lidar_sweeps": 1, "gt_sampling": GTSampling({"car": 3}, minimum_points=1)}
    files = module(DetectionDataModule, tiny, **options)
    cached = module(DetectionDataModule, tiny, **options, cache=str(cache))
    for loader in ("train_dataloader", "predict_dataloader"):
        for one, other in zip(getattr(files, loader)(), getattr(cached, loader)(), strict=True):
            require_equal(one, other)


def test_a_cache_of_a_whole_detection_training(tiny: Path, tmp_path: Path) -> None:
    options = {"sensors": ["lidar"], "lidar_sweeps": 3}
    data = module(DetectionDataModule, tiny, **options)
    assert len(data.all_moments()) == 8, "the keyframes of the splits train and val"
    cached = module(DetectionDataModule, tiny, **options, cache=str(packed(data, tmp_path / "cache")))
    for one, other in zip(data.predict_dataloader(), cached.predict_dataloader(), strict=True):
        require_equal(one, other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lidar_sweeps": 4}, r"lidar sweeps \[-2\] \(0 is the moment's own\)"),
        ({"target_sweep_stride": 1}, "lidar sweeps"),
        ({"radar_sweeps": 4}, "radar sweeps"),
        ({"radar_filter": None}, "radar_filter"),
        ({"image_size": (90, 160)}, "images of 90 x 160"),
        ({"split": None}, "lacks 11 of 22 moments"),
    ],
)
def test_a_cache_that_lacks_something_is_refused(
    tiny: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    cache = packed(module(PretrainDataModule, tiny, **ALL), tmp_path / "cache")
    with pytest.raises(UserError, match=said) as error:
        module(PretrainDataModule, tiny, **(ALL | options), cache=str(cache))
    assert str(error.value).startswith(str(cache)) and "\n" not in str(error.value)


def test_a_sensor_that_was_not_packed(tiny: Path, tmp_path: Path) -> None:
    cache = packed(module(PretrainDataModule, tiny, sensors=["lidar"]), tmp_path / "cache")
    with pytest.raises(UserError, match="holds no radar; pack another"):
        module(PretrainDataModule, tiny, sensors=["lidar"], target_sensors=["radar"], cache=str(cache))


def test_another_data_set_and_no_cache_are_refused(copy: Path, tmp_path: Path) -> None:
    cache = packed(module(PretrainDataModule, copy), tmp_path / "cache")
    table = copy / VERSION / "ego_pose.json"
    poses = json.loads(table.read_text())
    poses[0]["translation"][0] += 1
    table.write_text(json.dumps(poses))
    with pytest.raises(UserError, match=r"cache: was packed of another data set than .*v1\.0-tiny is now"):
        module(PretrainDataModule, copy, cache=str(cache))
    with pytest.raises(UserError, match=r"cache: holds a cache of other data; choose another folder"):
        packed(module(PretrainDataModule, copy), cache)
    with pytest.raises(UserError, match=r"nowhere.pack\.json: no such file; make a cache"):
        module(PretrainDataModule, copy, cache=str(tmp_path / "nowhere"))


def test_a_killed_packing_goes_on_and_does_not_pass_for_a_whole_one(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = module(PretrainDataModule, tiny, **ALL)
    whole = packed(data, tmp_path / "whole")
    written: list[Path] = []

    def killed(path: Path, *arguments: Any, write: Callable[..., None] = packing.write_shard) -> None:
        if len(written) == 1:
            (path.parent / f".{path.name}.x.part").write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path)
        write(path, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(packing, "write_shard", killed)
        packed(data, tmp_path / "cache")
    with pytest.raises(UserError, match=r"cache: \d of \d shards are missing; run the same 'avjepa pack'"):
        module(PretrainDataModule, tiny, **ALL, cache=str(tmp_path / "cache"))
    first = written[0].stat().st_mtime_ns
    packed(data, tmp_path / "cache")
    assert written[0].stat().st_mtime_ns == first
    names = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == names
    for name in names:
        assert (tmp_path / "cache" / name).read_bytes() == (whole / name).read_bytes()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def nan(path: Path) -> None:
    layout = json.loads(path.with_suffix(".json").read_text())["arrays"]["lidar_points"]
    np.memmap(path, "<f4", "r+", layout["offset"], tuple(layout["shape"]))[:] = np.nan


def other_moments(path: Path) -> None:
    np.memmap(path, "<i8", "r+", 0, (1,))[0] += 1


def sweeps_elsewhere(path: Path) -> None:
    layout = json.loads(path.with_suffix(".json").read_text())["arrays"]["lidar_sweeps"]
    np.memmap(path, "<i8", "r+", layout["offset"], tuple(layout["shape"]))[:, 3] = 2**40


def larger_than_the_file(path: Path) -> None:
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace('"shape": [', '"shape": [1', 1))


@pytest.mark.parametrize("damage", [truncated, nan, other_moments, sweeps_elsewhere, larger_than_the_file])
def test_a_damaged_shard_is_named_and_mended(tiny: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    data = module(PretrainDataModule, tiny, split=None)
    cache = packed(data, tmp_path / "cache")
    shard = cache / "shard-00000.bin"
    content = shard.read_bytes()
    damage(shard)
    with pytest.raises(UserError, match=r"shard-00000\.bin: is damaged \(.*'avjepa pack' command again") as error:
        list(module(PretrainDataModule, tiny, split=None, cache=str(cache)).train_dataloader())
    assert "\n" not in str(error.value)
    packed(data, cache)
    assert shard.read_bytes() == content


def test_bad_files_are_skipped_as_without_a_cache(copy: Path, tmp_path: Path) -> None:
    """A further sweep of one moment is left out, another moment's own one has its draws replaced."""
    bad = copy / "samples/LIDAR_TOP/data-0-LIDAR_TOP-5.pcd.bin"
    bad.write_bytes(b"123")
    options = {"sensors": ["lidar"], "lidar_sweeps": 2, "steps": 12, "on_bad_file": "skip"}
    files = module(PretrainDataModule, copy, **options)
    with pytest.raises(BadFileError, match=bad.name):
        packed(files, tmp_path / "stopped")
    cache = packed(files, tmp_path / "cache", skip_bad_files=True)
    bad.unlink()  # what is said of it is what was found when it was packed
    cached = module(PretrainDataModule, copy, **options, cache=str(cache))
    found = list(cached.train_dataloader())
    bad.write_bytes(b"123")
    for one, other in zip(files.train_dataloader(), found, strict=True):
        require_equal(one.context, other.context)
    assert cached.bad_files.files() == files.bad_files.files()
    assert cached.bad_files.replaced_draws() == files.bad_files.replaced_draws() > 0
    stopping = module(PretrainDataModule, copy, **(options | {"on_bad_file": "stop"}), cache=str(cache))
    with pytest.raises(BadFileError, match=f"{bad.name}: truncated"):
        list(stopping.train_dataloader())


def test_a_full_disk_leaves_nothing_that_passes_for_a_shard(tiny: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    data = module(PretrainDataModule, tiny, **ALL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            packed(data, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(tmp_path / "cache" / "shard-00000.bin")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["pack.json"]


def test_real_recordings(real_keyframe: Path, tmp_path: Path) -> None:
    options = {"version": "v1.0-mini", "split": None, "sensors": ["lidar", "radar", "camera"], "batch_size": 1}
    files = module(PretrainDataModule, real_keyframe, **options)
    cached = module(PretrainDataModule, real_keyframe, **options, cache=str(packed(files, tmp_path / "cache")))
    (one,), (other,) = list(files.train_dataloader()), list(cached.train_dataloader())
    require_equal(one.context, other.context)
