import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from nuscenes import NuScenes
from nuscenes.utils.geometry_utils import transform_matrix
from pyquaternion import Quaternion

from avjepa.data.nuscenes import index as index_module
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.splits import shared_scenes
from avjepa.errors import UserError

from ..conftest import VERSION, build


def every_record_agrees(index: DatasetIndex, devkit: NuScenes) -> None:
    by_file = {index.file(record): record for record in range(len(index.record_timestamp))}
    assert len(by_file) == len(devkit.sample_data)
    for row in devkit.sample_data:
        record = by_file[Path(devkit.dataroot) / row["filename"]]
        assert index.record_timestamp[record] == row["timestamp"]
        assert index.record_is_key[record] == row["is_key_frame"]
        assert index.channel_of(record) == row["channel"]
        assert index.sample_token(int(index.record_sample[record])) == row["sample_token"]
        assert index.record_size[record].tolist() == [row["height"] or 0, row["width"] or 0]
        scene = devkit.get("scene", devkit.get("sample", row["sample_token"])["scene_token"])
        assert index.scene_names[index.scene_of(record)] == scene["name"]
        if row["prev"]:  # the devkit's chain is our order
            assert by_file[Path(devkit.dataroot) / devkit.get("sample_data", row["prev"])["filename"]] == record - 1
        for ours, table in ((index.global_from_ego, "ego_pose"), (index.ego_from_sensor, "calibrated_sensor")):
            pose = devkit.get(table, row[f"{table}_token"])
            theirs = transform_matrix(pose["translation"], Quaternion(pose["rotation"]))
            np.testing.assert_allclose(ours(np.array([record]))[0].numpy(), theirs, atol=1e-9)


def test_index_agrees_with_the_devkit(tiny: Path, devkit: NuScenes) -> None:
    every_record_agrees(DatasetIndex.open(tiny, VERSION), devkit)


def test_index_agrees_with_the_devkit_on_real_tables(real_metadata: Path) -> None:
    index = DatasetIndex.open(real_metadata, "v1.0-mini")
    assert len(index.moments(keyframes_only=True)) == 81
    assert len(index) == 81 + 706
    assert index.scenes_of("mini_val") == ["scene-0103", "scene-0916"]
    every_record_agrees(index, NuScenes("v1.0-mini", str(real_metadata), verbose=False))


def test_moments_are_all_lidar_sweeps(tiny: Path) -> None:
    index = DatasetIndex.open(tiny, VERSION)
    tokens = [index.moment_token(moment) for moment in range(len(index))]
    expected = []
    for scene in range(2):
        for k in range(18):
            expected.append(f"sample-{scene}-{k // 5}" if k % 5 == 0 else f"data-{scene}-LIDAR_TOP-{k}")
    assert tokens == expected
    assert len(index.moments(["scene-0001"], keyframes_only=True)) == 4


def test_without_lidar_the_moments_are_the_keyframes_of_the_first_sensor(tmp_path: Path) -> None:
    index = DatasetIndex.open(build(tmp_path / "data", ("RADAR_BACK_LEFT", "CAM_BACK")), VERSION)
    assert [index.moment_token(moment) for moment in range(8)] == [
        f"sample-{s}-{k}" for s in range(2) for k in range(4)
    ]
    assert {index.channel_of(int(record)) for record in index.moment_record} == {"CAM_BACK"}


def test_keyframe_that_lacks_lidar_is_still_a_moment(copy: Path) -> None:
    edit(copy, "sample_data", lambda rows: [row for row in rows if row["token"] != "data-0-LIDAR_TOP-5"])
    index = DatasetIndex.open(copy, VERSION)
    moment = next(m for m in range(len(index)) if index.moment_token(m) == "sample-0-1")
    assert index.channel_of(int(index.moment_record[moment])) == "CAM_FRONT"
    assert index.at_moment(moment, "LIDAR_TOP", 0.01) is None


def test_record_of_a_moment(tiny: Path) -> None:
    """CAM_FRONT records: keyframe at -40 ms, a sweep at +10 ms."""
    index = DatasetIndex.open(tiny, VERSION)

    def camera(sweep: int) -> str | None:
        record = index.at_moment(sweep, "CAM_FRONT", 0.1)
        return None if record is None else index.file(record).name

    assert camera(5) == "data-0-CAM_FRONT-2.jpg"  # the keyframe's own image, although the sweep is nearer
    assert camera(6) == "data-0-CAM_FRONT-3.jpg"  # 90 ms after the sweep
    assert camera(7) is None  # 190 ms after it, 260 ms before the next image
    assert camera(9) == "data-0-CAM_FRONT-4.jpg"  # 60 ms before the next keyframe's image
    assert index.at_moment(5, "CAM_BACK_LEFT", 0.1) is None


def test_recorded_is_at_moment_for_all_moments_at_once(tiny: Path) -> None:
    index = DatasetIndex.open(tiny, VERSION)
    for channels in (("CAM_FRONT",), ("RADAR_FRONT", "RADAR_BACK_LEFT"), ("LIDAR_TOP",), ("CAM_BACK_LEFT",)):
        one_by_one = [any(index.at_moment(m, c, 0.1) is not None for c in channels) for m in range(len(index))]
        assert index.recorded(channels, 0.1).tolist() == one_by_one


# -- the cache


def test_second_start_reads_no_table(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = DatasetIndex.open(tiny, VERSION)
    monkeypatch.setattr(index_module, "build_index", None)
    second = DatasetIndex.open(tiny, VERSION)
    assert second.fingerprint() == first.fingerprint()
    assert second.scene_names == first.scene_names


def test_changed_table_rebuilds_the_index(copy: Path) -> None:
    before = DatasetIndex.open(copy, VERSION)
    edit(copy, "ego_pose", lambda rows: [row | {"translation": [0.0, 0.0, 1.0]} for row in rows])
    after = DatasetIndex.open(copy, VERSION)
    assert after.fingerprint() != before.fingerprint()
    assert (after.global_from_ego(np.arange(3))[:, :3, 3].numpy() == [0, 0, 1]).all()


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("calibrated_sensor", {"camera_intrinsic": [[101.0, 0.0, 80.0], [0.0, 100.0, 45.0], [0.0, 0.0, 1.0]]}),
        ("calibrated_sensor", {"translation": [0.0, 0.0, 1.0]}),
        ("sample_data", {"height": 91}),
        ("sample_data", {"is_key_frame": False}),
        ("sample", {"timestamp": 1_600_000_000_000_001}),
        ("scene", {"name": "another"}),
    ],
)
def test_fingerprint_tells_what_the_tables_say(copy: Path, table: str, change: dict) -> None:
    before = DatasetIndex.open(copy, VERSION).fingerprint()
    edit(copy, table, lambda rows: [rows[0] | change, *rows[1:]])
    assert DatasetIndex.open(copy, VERSION).fingerprint() != before


def test_fingerprint_does_not_depend_on_the_place_or_the_layout_of_the_tables(copy: Path, tiny: Path) -> None:
    edit(copy, "sample_data", lambda rows: [dict(reversed(row.items())) for row in rows])
    assert DatasetIndex.open(copy, VERSION).fingerprint() == DatasetIndex.open(tiny, VERSION).fingerprint()


def test_read_only_dataset_is_cached_for_the_user(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    os.chmod(copy / VERSION, 0o555)
    DatasetIndex.open(copy, VERSION)
    os.chmod(copy / VERSION, 0o755)
    assert not list((copy / VERSION).glob(".avjepa*"))
    assert len(list((tmp_path / "cache" / "avjepa").iterdir())) == 1


def test_index_reaches_a_worker_process_without_its_arrays(tiny: Path) -> None:
    index = DatasetIndex.open(tiny, VERSION)
    message = pickle.dumps(index)
    assert len(message) < 1000
    assert pickle.loads(message).fingerprint() == index.fingerprint()


# -- bad tables


def edit(root: Path, table: str, change) -> None:
    path = root / VERSION / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    later = time.time() + 10  # a coarse file system clock must not hide the change
    os.utime(path, (later, later))


@pytest.mark.parametrize(
    ("table", "link"),
    [
        ("sample_data", "sample_token"),
        ("sample_data", "ego_pose_token"),
        ("sample_data", "calibrated_sensor_token"),
        ("sample", "scene_token"),
        ("calibrated_sensor", "sensor_token"),
        ("scene", "log_token"),
    ],
)
def test_dangling_token_names_table_and_record(copy: Path, table: str, link: str) -> None:
    edit(copy, table, lambda rows: [rows[0] | {link: "nowhere"}, *rows[1:]])
    token = json.loads((copy / VERSION / f"{table}.json").read_text())[0]["token"]
    with pytest.raises(UserError, match=f"{table}.json.*{token}.*{link}"):
        DatasetIndex.open(copy, VERSION)


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "samples/../../secret.bin", ".", "a\0b"])
def test_file_name_that_leaves_the_data_root(copy: Path, name: str) -> None:
    edit(copy, "sample_data", lambda rows: [*rows[:-1], rows[-1] | {"filename": name}])
    with pytest.raises(UserError, match=r"sample_data.json.*data-1-RADAR_BACK_LEFT-17.*leaves the data root"):
        DatasetIndex.open(copy, VERSION)


@pytest.mark.parametrize("field", ["filename", "timestamp", "token"])
def test_missing_field(copy: Path, field: str) -> None:
    edit(copy, "sample_data", lambda rows: [{k: v for k, v in rows[0].items() if k != field}, *rows[1:]])
    with pytest.raises(UserError, match=f"sample_data.json.*{field}"):
        DatasetIndex.open(copy, VERSION)


@pytest.mark.parametrize(
    ("rotation", "words"),
    [
        ([0, 0, 0, 0], "no pose"),
        ([1, 0, 0], "'rotation' is a list of 3, four finite numbers"),
        ([1, 0, 0, float("nan")], "'rotation' is a list with the number nan, four finite numbers"),
        (None, "'rotation' is null, four finite numbers"),
    ],
)
def test_pose_that_is_none(copy: Path, rotation, words: str) -> None:
    edit(copy, "ego_pose", lambda rows: [rows[0] | {"rotation": rotation}, *rows[1:]])
    with pytest.raises(UserError, match=rf"ego_pose.json.*pose-data-0-LIDAR_TOP-0.*{words}"):
        DatasetIndex.open(copy, VERSION)


def test_missing_and_broken_tables(copy: Path) -> None:
    path = copy / VERSION / "ego_pose.json"
    content = path.read_text()
    for broken in (content[: len(content) // 2], content[:-2] + ",", "{}", "", "[1, 2]", content.replace("{", "[", 1)):
        path.write_text(broken)
        with pytest.raises(UserError, match=r"ego_pose.json"):
            DatasetIndex.open(copy, VERSION)
    path.unlink()
    with pytest.raises(UserError, match=r"ego_pose.json: the table is missing"):
        DatasetIndex.open(copy, VERSION)


def test_wrong_version_lists_what_there_is(tiny: Path) -> None:
    with pytest.raises(UserError, match=rf"'v1.0-trainval'.*{VERSION}"):
        DatasetIndex.open(tiny, "v1.0-trainval")
    with pytest.raises(UserError, match="no such folder"):
        DatasetIndex.open(tiny / "nothing", VERSION)


# -- splits


def test_custom_splits(copy: Path) -> None:
    index = DatasetIndex.open(copy, VERSION)
    assert index.scenes_of("train") == ["scene-0000"]  # a name that the devkit defines for another version
    assert index.scenes_of(None) == ["scene-0000", "scene-0001"]
    with pytest.raises(UserError, match=r"'test' does not exist.*train, val"):
        index.scenes_of("test")
    splits = copy / VERSION / "splits.json"
    splits.write_text('{"train": ["scene-9999"]}')
    with pytest.raises(UserError, match="scene-9999"):
        DatasetIndex.open(copy, VERSION).scenes_of("train")
    splits.write_text('{"train": "scene-0000"}')
    with pytest.raises(UserError, match=r"splits.json"):
        DatasetIndex.open(copy, VERSION).scenes_of("train")
    splits.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"splits.json"):
        DatasetIndex.open(copy, VERSION).scenes_of("train")
    splits.unlink()
    with pytest.raises(UserError, match=r"splits.json"):
        DatasetIndex.open(copy, VERSION).scenes_of("train")


def test_own_splits_count_in_a_folder_that_is_called_like_an_official_version(copy: Path) -> None:
    (copy / VERSION).rename(copy / "v1.0-trainval")
    index = DatasetIndex.open(copy, "v1.0-trainval")
    assert index.splits == {"train": ["scene-0000"], "val": ["scene-0001"]}
    (copy / "v1.0-trainval" / "splits.json").unlink()
    assert set(DatasetIndex.open(copy, "v1.0-trainval").splits) == {"train", "val", "train_detect", "train_track"}


def test_scenes_that_are_trained_on_and_scored() -> None:
    splits = {"train": ["a", "b"], "val": ["b", "c"], "trainval": ["a", "b", "c"], "train_small": ["a"], "mine": ["a"]}
    assert shared_scenes(splits) == {"train and val": ["b"]}


def test_split_of_which_no_scene_is_there(real_keyframe: Path) -> None:
    index = DatasetIndex.open(real_keyframe, "v1.0-mini")
    assert index.scenes_of("mini_train") == ["scene-0061"]
    with pytest.raises(UserError, match="none of its scenes"):
        index.scenes_of("mini_val")
