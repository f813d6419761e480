import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from avjepa.data.files.pointfiles import write_lidar, write_radar
from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
from avjepa.data.nuscenes.inspection.rendering import rendered
from avjepa.data.nuscenes.inspection.report import DatasetReport
from avjepa.errors import UserError
from tests.data.conftest import VERSION
from tests.data.nuscenes.test_index import edit


def problems(root: Path) -> dict[str, str]:
    return {problem.where: problem.problem for problem in inspect_dataset(root, VERSION).problems}


def printed(report: DatasetReport) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(rendered(report))
    return capture.get()


def test_sound_dataset(tiny: Path) -> None:
    report = inspect_dataset(tiny, VERSION)
    assert report.problems == ()
    assert (report.scenes, report.keyframes, report.moments) == (2, 8, 36)
    assert report.splits == {"train": 1, "val": 1}
    assert report.boxes is not None
    assert (report.boxes["car"], report.boxes["pedestrian"], report.boxes["barrier"], report.boxes["bus"]) == (
        8,
        6,
        2,
        0,
    )
    assert report.boxes["other categories"] == 4
    assert report.instances == 8
    lidar, front, *_ = report.channels
    assert (lidar.channel, lidar.keyframes, lidar.sweeps, lidar.present, lidar.opened) == ("LIDAR_TOP", 8, 28, 36, 36)
    assert lidar.points == (44, 44.0, 44)
    assert (front.channel, front.keyframes, front.sweeps, front.image_sizes) == ("CAM_FRONT", 8, 8, {"160 x 90": 16})
    assert json.loads(report.to_json())["channels"][0]["points"] == [44, 44.0, 44]
    assert "CAM_FRONT" in printed(report) and "0 problems" in printed(report)


def test_every_kind_of_bad_file_is_found(copy: Path) -> None:
    (copy / "samples/LIDAR_TOP/data-0-LIDAR_TOP-0.pcd.bin").unlink()
    truncated = copy / "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-1.pcd.bin"
    truncated.write_bytes(truncated.read_bytes()[:-3])
    write_lidar(copy / "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-2.pcd.bin", np.full((1, 5), np.nan, np.float32))
    (copy / "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-3.pcd.bin").write_bytes(b"")
    (copy / "samples/CAM_BACK/data-0-CAM_BACK-0.jpg").write_bytes(b"no image")
    Image.new("RGB", (80, 45)).save(copy / "sweeps/CAM_BACK/data-0-CAM_BACK-1.jpg")
    radar = copy / "samples/RADAR_FRONT/data-0-RADAR_FRONT-0.pcd"
    write_radar(radar, np.zeros((300, 18), np.float32))
    radar.write_bytes(radar.read_bytes()[:5000])
    found = problems(copy)
    assert set(found) == {
        "samples/LIDAR_TOP/data-0-LIDAR_TOP-0.pcd.bin", "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-1.pcd.bin",
        "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-2.pcd.bin", "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-3.pcd.bin",
        "samples/CAM_BACK/data-0-CAM_BACK-0.jpg", "sweeps/CAM_BACK/data-0-CAM_BACK-1.jpg",
        "samples/RADAR_FRONT/data-0-RADAR_FRONT-0.pcd",
    }  # fmt: skip
    for where, word in (("TOP-0", "missing"), ("TOP-1", "truncated"), ("TOP-2", "NaN"), ("TOP-3", "no points")):
        assert word in found[next(name for name in found if where in name)]
    assert "80 x 45" in found["sweeps/CAM_BACK/data-0-CAM_BACK-1.jpg"]


def test_truncated_cloud_is_found_also_where_only_some_files_are_opened(copy: Path) -> None:
    path = copy / "sweeps/LIDAR_TOP/data-0-LIDAR_TOP-8.pcd.bin"
    path.write_bytes(path.read_bytes()[:-3])
    report = inspect_dataset(copy, VERSION, opened_per_channel=2)
    assert [problem.where for problem in report.problems] == ["sweeps/LIDAR_TOP/data-0-LIDAR_TOP-8.pcd.bin"]
    assert report.channels[0].opened == 2


@pytest.mark.parametrize(
    ("table", "link"),
    [
        ("sample_data", "ego_pose_token"), ("sample_data", "sample_token"), ("sample_data", "prev"),
        ("sample_data", "next"), ("sample", "next"), ("scene", "first_sample_token"),
        ("sample_annotation", "instance_token"), ("sample_annotation", "next"),
    ],
)  # fmt: skip
def test_dangling_tokens_are_listed_and_the_rest_is_reported(copy: Path, table: str, link: str) -> None:
    edit(copy, table, lambda rows: [rows[0] | {link: "nowhere"}, *rows[1:]])
    token = json.loads((copy / VERSION / f"{table}.json").read_text())[0]["token"]
    report = inspect_dataset(copy, VERSION)
    where = f"{VERSION}/{table}.json record {token}"
    assert link in next(problem.problem for problem in report.problems if problem.where == where)
    assert report.keyframes == 8
    assert where in printed(report)


def test_file_name_that_leaves_the_data_root_is_listed_and_not_opened(copy: Path) -> None:
    edit(copy, "sample_data", lambda rows: [rows[0] | {"filename": "../outside.pcd.bin"}, *rows[1:]])
    (copy.parent / "outside.pcd.bin").write_bytes(b"123")
    left_out = f"{VERSION}/sample_data.json record data-0-LIDAR_TOP-0"
    assert problems(copy) == {
        left_out: "the file name '../outside.pcd.bin' leaves the data root",
        f"{VERSION}/sample.json record sample-0-0": "LIDAR_TOP recorded no file of this keyframe",
    }


def test_dataset_without_annotations(copy: Path) -> None:
    for table in ("sample_annotation", "instance"):
        (copy / VERSION / f"{table}.json").unlink()
    report = inspect_dataset(copy, VERSION)
    assert report.boxes is None and report.problems == ()
    assert "no annotations" in printed(report)


def test_broken_annotation_table_does_not_hide_the_rest(copy: Path) -> None:
    (copy / VERSION / "sample_annotation.json").write_text('[{"token": "a"')
    report = inspect_dataset(copy, VERSION)
    assert report.scenes == 2
    assert [problem.where for problem in report.problems] == [f"{VERSION}/sample_annotation.json"]


def test_keyframe_without_any_file(copy: Path) -> None:
    edit(copy, "sample_data", lambda rows: [row for row in rows if row["sample_token"] != "sample-1-3"])
    assert problems(copy)[f"{VERSION}/sample.json record sample-1-3"] == "has no sensor data"


def test_wrong_version(tiny: Path) -> None:
    with pytest.raises(UserError, match=VERSION):
        inspect_dataset(tiny, "v1.0-mini")


def test_real_recordings_of_which_most_files_are_missing(real_metadata: Path) -> None:
    report = inspect_dataset(real_metadata, "v1.0-mini")
    assert (report.scenes, report.keyframes, report.instances) == (2, 81, 218)
    assert sum(channel.present for channel in report.channels) == 26
    assert report.boxes is not None and sum(report.boxes.values()) == 4514
    assert len(report.problems) == 1273 - 26
    assert all(problem.problem == "the file is missing" for problem in report.problems)
    assert "1247 problems" in printed(report) and "more" in printed(report)


def test_real_keyframe(real_keyframe: Path) -> None:
    report = inspect_dataset(real_keyframe, "v1.0-mini")
    assert report.problems == ()
    points = {channel.channel: channel.points for channel in report.channels}
    assert points["LIDAR_TOP"] == (34688, 34688.0, 34688) and points["RADAR_FRONT"] == (74, 74.0, 74)
