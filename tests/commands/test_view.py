"""``avjepa view`` through the command line."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from avjepa import cli
from tests.commands.test_bad_input import refused
from tests.data.conftest import VERSION


def view(data: Path, out: Path, *options: object) -> int:
    return cli.main(["view", "--data", str(data), "--version", VERSION, "--out", str(out), *map(str, options)])


def edit(data: Path, table: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    path = data / VERSION / f"{table}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def is_picture(path: Path) -> bool:
    with Image.open(path) as image:
        image.load()
        return image.format == "PNG" and image.width > 1000


@pytest.fixture
def result(tmp_path: Path) -> Callable[..., Path]:
    def write(**change: Any) -> Path:
        box = {
            "sample_token": "sample-0-0", "translation": [310, 1010, 0.9], "size": [1.8, 4.4, 1.5],
            "rotation": [1, 0, 0, 0], "velocity": [0, 0], "detection_name": "car", "detection_score": 0.9,
            "attribute_name": "",
        }  # fmt: skip
        (tmp_path / "result.json").write_text(json.dumps({"meta": {}, "results": {"sample-0-0": [box | change]}}))
        return tmp_path / "result.json"

    return write


def test_keyframe_with_predictions_is_drawn(tiny: Path, tmp_path: Path, result: Callable[..., Path]) -> None:
    assert view(tiny, tmp_path / "x.png", "--token", "sample-0-0", "--predictions", result()) == 0
    assert is_picture(tmp_path / "x.png")


def test_of_many_predictions_the_surest_are_drawn(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: Callable[..., Path], capfd
) -> None:
    file = result()
    content = json.loads(file.read_text())
    (box,) = content["results"]["sample-0-0"]
    content["results"]["sample-0-0"] = [box | {"detection_score": 0.3 + score / 100} for score in range(60)]
    file.write_text(json.dumps(content))
    drawn = []

    def keep(sample: Any, out: Path, found: Any, classes: Any, maps: Any, note: str) -> None:
        drawn.append(found)
        assert note.startswith("predictions from ")

    monkeypatch.setattr("avjepa.report.sample_figure.draw_sample", keep)
    assert view(tiny, tmp_path / "x.png", "--token", "sample-0-0", "--predictions", file) == 0
    assert "50 surest predictions are drawn, 10 left out" in capfd.readouterr().out
    assert sorted(drawn[0][1].tolist()) == pytest.approx([0.3 + score / 100 for score in range(10, 60)])


@pytest.mark.parametrize(
    ("field", "value"),
    [("translation", [math.nan, 0, 0]), ("velocity", None), ("size", "large"), ("rotation", [1])],
)
def test_result_file_with_a_broken_box_is_one_line(
    tiny: Path, tmp_path: Path, result: Callable[..., Path], capfd: pytest.CaptureFixture[str], field: str, value: Any
) -> None:
    code = view(tiny, tmp_path / "x.png", "--token", "sample-0-0", "--predictions", result(**{field: value}))
    refused(capfd, code, "result.json", "NaN" if field == "translation" else field)
    assert not (tmp_path / "x.png").exists()


def test_drive_without_annotation_tables_is_drawn_without_boxes(copy: Path, tmp_path: Path) -> None:
    for table in ("sample_annotation", "instance", "category"):
        (copy / VERSION / f"{table}.json").unlink()
    assert view(copy, tmp_path / "x.png") == 0
    assert is_picture(tmp_path / "x.png")


def test_missing_file_gives_advice_that_view_can_follow(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / "samples/LIDAR_TOP/data-0-LIDAR_TOP-0.pcd.bin").unlink()
    assert view(copy, tmp_path / "x.png") == 2
    error = capfd.readouterr().err
    assert "data-0-LIDAR_TOP-0.pcd.bin: the file is missing" in error
    assert "--index" in error and "on-bad-file" not in error
    assert view(copy, tmp_path / "x.png", "--index", 1) == 0


def test_pipe_in_the_place_of_a_sensor_file_is_refused(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = copy / "samples/LIDAR_TOP/data-0-LIDAR_TOP-0.pcd.bin"
    pipe.unlink()
    os.mkfifo(pipe)
    refused(capfd, view(copy, tmp_path / "x.png"), pipe.name, "no regular file")


@pytest.mark.parametrize("name", ["$x_$", r"$\frac{$", "100 $"])
def test_dollar_signs_in_a_scene_name_are_drawn_as_text(copy: Path, tmp_path: Path, name: str) -> None:
    edit(copy, "scene", lambda rows: [rows[0] | {"name": name}, *rows[1:]])
    (copy / VERSION / "splits.json").write_text(json.dumps({"train": [name], "val": ["scene-0001"]}))
    assert view(copy, tmp_path / "x.png") == 0
    assert is_picture(tmp_path / "x.png")


@pytest.mark.parametrize("matrix", [[], [[0, 0, 0]] * 3, [[100, 0, 80], [0, 0, 45], [0, 0, 1]]])
def test_camera_in_use_without_a_camera_matrix_is_named(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], matrix: list[list[float]]
) -> None:
    def spoil(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"camera_intrinsic": matrix} if row["token"] == "calibration-CAM_FRONT" else row for row in rows]

    edit(copy, "calibrated_sensor", spoil)
    refused(capfd, view(copy, tmp_path / "x.png"), "calibrated_sensor.json", "CAM_FRONT")


def test_other_sensors_and_classes_are_drawn_by_their_mapping(
    copy: Path, tmp_path: Path, result: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    edit(copy, "sensor", lambda rows: [row | {"channel": f"MY_{row['channel']}"} for row in rows])
    (tmp_path / "channels.yaml").write_text("lidar: [MY_LIDAR_TOP]\ncameras: [MY_CAM_BACK, MY_CAM_FRONT]\n")
    (tmp_path / "classes.yaml").write_text(
        "classes: [tram, walker]\ncategories: {vehicle.car: tram, human.pedestrian.adult: walker}\n"
        "groups: [{classes: [tram, walker], nms_radius: 1.0}]\nranges: {tram: 50, walker: 40}\n"
    )
    options = ("--channels", tmp_path / "channels.yaml", "--taxonomy", tmp_path / "classes.yaml")
    predictions = ("--token", "sample-0-0", "--predictions", result(detection_name="walker"))
    assert view(copy, tmp_path / "x.png", *options, *predictions) == 0, capfd.readouterr().err
    assert is_picture(tmp_path / "x.png")
    code = view(copy, tmp_path / "x.png", *options, "--token", "sample-0-0", "--predictions", result())
    refused(capfd, code, "'car' is none of tram, walker")


def test_a_sensor_whose_channels_have_other_names_is_missed(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"channel": row["channel"].replace("CAM_", "MY_CAM_")}

    assert view(copy, tmp_path / "x.png") == 0
    assert "drawn without" not in capfd.readouterr().out
    edit(copy, "sensor", lambda rows: [renamed(row) for row in rows])
    assert view(copy, tmp_path / "x.png") == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "drawn without" in line]
    assert "drawn without camera:" in line and "MY_CAM_BACK" in line and "--channels" in line
    (tmp_path / "channels.yaml").write_text("lidar: [LIDAR_TOP]\n")
    assert view(copy, tmp_path / "x.png", "--channels", tmp_path / "channels.yaml") == 0
    assert "drawn without" not in capfd.readouterr().out, "as was asked"


def test_data_without_any_channel_of_the_mapping_is_refused(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit(copy, "sensor", lambda rows: [row | {"channel": f"MY_{row['channel']}"} for row in rows])
    refused(capfd, view(copy, tmp_path / "x.png"), "no lidar channel", "LIDAR_TOP", "MY_CAM_BACK", "--channels")
    assert not (tmp_path / "x.png").exists()
