"""One pass over a dataset: what it holds, what is missing, and what each command will do with it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from avjepa import cli
from avjepa.data.channels import SensorChannels
from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
from avjepa.data.nuscenes.inspection.rendering import rendered
from tests.data.nuscenes.inspection.conftest import CARS, KEYFRAMES, STANDING, VERSION, Spoil

BOXES = (CARS + len(STANDING)) * KEYFRAMES
"""Of each of the two scenes, each of which is a split."""


def outcomes(root: Path, **options: Any) -> dict[tuple[str, str], tuple[str, str]]:
    found = inspect_dataset(root, VERSION, **options).verdicts
    return {(verdict.command, verdict.split): (verdict.outcome, verdict.why) for verdict in found}


def problems(root: Path, **options: Any) -> dict[str, str]:
    return {finding.where: finding.problem for finding in inspect_dataset(root, VERSION, **options).problems}


def on_terminal(root: Path, width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(rendered(inspect_dataset(root, VERSION)))
    return capture.get()


def rename_lidar(root: Path, suffix: str) -> Path:
    for path in (root / "samples/LIDAR_TOP").iterdir():
        path.rename(path.with_name(path.name.replace(".pcd.bin", suffix)))
    table = root / VERSION / "sample_data.json"
    table.write_text(table.read_text().replace(".pcd.bin", suffix))
    return root


def test_what_the_street_holds(street: Path) -> None:
    report = inspect_dataset(street, VERSION)
    assert (report.scenes, report.keyframes, report.problems, report.warnings) == (2, 12, (), ())
    lidar, camera = report.channels
    assert (lidar.channel, lidar.sensor, lidar.present, lidar.opened) == ("LIDAR_TOP", "lidar", 12, 12)
    assert (camera.channel, camera.sensor, camera.image_sizes) == ("CAM_FRONT", "camera", {"16 x 10": 12})
    assert report.boxes is not None and report.boxes["car"] == 96 and report.boxes["truck"] == 12


# -- files


@pytest.mark.parametrize("suffix", [".bin", ".lidar", ".pcd"])
def test_lidar_files_with_other_names_are_opened_and_checked_like_any_other(own: Path, suffix: str) -> None:
    rename_lidar(own, suffix)
    truncated = own / f"samples/LIDAR_TOP/1-2{suffix}"
    truncated.write_bytes(truncated.read_bytes()[:-7])
    empty = own / f"samples/LIDAR_TOP/1-3{suffix}"
    empty.write_bytes(b"")
    report = inspect_dataset(own, VERSION, opened_per_channel=2)
    assert {finding.where.split("/")[-1] for finding in report.problems} == {truncated.name, empty.name}
    assert any("truncated" in finding.problem for finding in report.problems)
    assert report.channels[0].points is not None


def test_pipe_is_listed_and_not_opened(own: Path) -> None:
    pipe = own / "samples/CAM_FRONT/0-0.jpg"
    pipe.unlink()
    os.mkfifo(pipe)
    assert problems(own) == {"samples/CAM_FRONT/0-0.jpg": "this is no regular file (a folder, pipe, socket or device)"}


@pytest.mark.parametrize("table", ["scene", "sample_data", "ego_pose", "instance", "sample_annotation", "attribute"])
def test_pipe_in_the_place_of_a_table_is_not_waited_for(
    own: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    path = own / VERSION / f"{table}.json"
    path.unlink()
    os.mkfifo(path)
    code = cli.main(["inspect", "--data", str(own), "--version", VERSION, "--fast"])
    out, err = capsys.readouterr()
    if table in ("scene", "sample_data", "ego_pose"):
        assert code == 2 and VERSION in err
    elif table in ("instance", "sample_annotation"):  # the report is made all the same
        assert code == 2 and f"{table}.json" in err and table in out
    else:
        assert code == 0 and table in out


def test_tables_alone_look_at_no_file(own: Path) -> None:
    for path in (own / "samples/LIDAR_TOP").iterdir():
        path.unlink()
    assert len(problems(own)) == 12
    report = inspect_dataset(own, VERSION, files=False)
    assert report.problems == () and report.channels[0].present is None
    assert {verdict.outcome for verdict in report.verdicts} == {"runs"}


# -- keyframes


def test_keyframe_whose_lidar_file_was_never_recorded(spoilt: Spoil) -> None:
    root = spoilt("sample_data", lambda row: None if row["token"] == "LIDAR_TOP-1-3" else row)
    found = problems(root)
    assert found[f"{VERSION}/sample.json record sample-1-3"] == "LIDAR_TOP recorded no file of this keyframe"


def test_keyframe_of_no_sensor(spoilt: Spoil) -> None:
    root = spoilt("sample_data", lambda row: None if row["sample_token"] == "sample-1-3" else row)
    assert problems(root)[f"{VERSION}/sample.json record sample-1-3"] == "has no sensor data"


@pytest.mark.parametrize(
    "table", ["sample_data", "ego_pose", "calibrated_sensor", "sensor", "sample", "scene", "sample_annotation"]
)
def test_table_without_a_record_is_no_end(spoilt: Spoil, table: str) -> None:
    report = inspect_dataset(spoilt(table, lambda row: None), VERSION)
    assert table == "sample_annotation" or report.problems
    assert {verdict.outcome for verdict in report.verdicts if verdict.command == "finetune"} <= {"refuses"}


def test_two_keyframes_at_one_time(spoilt: Spoil) -> None:
    def twice(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"timestamp": row["timestamp"] - 500_000} if row["token"] == "sample-1-3" else row

    found = problems(spoilt("sample", twice))
    (where,) = [where for where in found if "sample.json" in where]
    assert "same scene and timestamp as record sample-1-" in found[where]


# -- verdicts


def test_a_sound_dataset_runs_everywhere(street: Path) -> None:
    found = outcomes(street)
    for split in ("train", "val"):
        assert found["pretrain", split] == ("runs", "moments: 6 with LiDAR, 6 with cameras")
        keyframes = "1 scene, keyframes: 6 with LiDAR, 6 with cameras"
        assert found["finetune", split] == ("runs", f"{keyframes}; {BOXES} taught boxes")
        assert found["evaluate", split] == ("runs", f"6 keyframes, {BOXES} scored boxes by the devkit")


def test_bad_files_stop_the_commands_of_their_split(own: Path) -> None:
    (own / "samples/LIDAR_TOP/1-0.pcd.bin").unlink()
    (own / "samples/CAM_FRONT/1-0.jpg").write_bytes(b"")
    found = outcomes(own)
    assert {found[command, "train"][0] for command in ("pretrain", "finetune", "evaluate")} == {"runs"}
    for command in ("pretrain", "finetune", "evaluate"):
        outcome, why = found[command, "val"]
        assert outcome == "stops" and "1 of LIDAR_TOP, 1 of CAM_FRONT" in why and "--on-bad-file skip" in why


def test_without_annotations_only_pretraining_runs(own: Path) -> None:
    for table in ("sample_annotation", "instance"):
        (own / VERSION / f"{table}.json").unlink()
    found = outcomes(own)
    assert found["pretrain", "train"][0] == "runs"
    assert found["finetune", "train"] == ("refuses", "there are no annotation tables")
    outcome, why = found["evaluate", "val"]
    assert outcome == "nothing" and "predictions are written, there is nothing to score" in why


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("sample_annotation", lambda row: row | {"num_lidar_pts": 0}, "boxes holds a point"),
        ("category", lambda row: row | {"name": "Auto " + row["name"]}, "has a category that the taxonomy maps"),
        ("sample_annotation", lambda row: None, "no box is annotated"),
    ],
)
def test_split_that_teaches_nothing_refuses(
    spoilt: Spoil, table: str, change: Callable[[dict[str, Any]], dict[str, Any] | None], words: str
) -> None:
    found = outcomes(spoilt(table, change))
    assert found["finetune", "train"][0] == "refuses" and words in found["finetune", "train"][1]
    assert found["evaluate", "val"][0] == "nothing"
    assert found["pretrain", "train"][0] == "runs"


def test_boxes_whose_points_nobody_counted_are_neither_taught_nor_lost(spoilt: Spoil) -> None:
    found = outcomes(spoilt("sample_annotation", lambda row: row | {"num_lidar_pts": -1, "num_radar_pts": None}))
    outcome, why = found["finetune", "train"]
    assert outcome == "runs" and f"0 taught boxes, and those of {BOXES} in which points are found" in why


def test_keyframes_without_data_count_as_empty_predictions(spoilt: Spoil) -> None:
    root = spoilt("sample_data", lambda row: None if row["sample_token"] == "sample-1-3" else row)
    outcome, why = outcomes(root)["evaluate", "val"]
    assert outcome == "runs" and "empty predictions for 1 keyframe without data" in why
    assert "the devkit needs LIDAR_TOP for every keyframe; it is missing from 1" in why


@pytest.mark.parametrize(
    ("table", "link", "pretrains"),
    [("sample_data", "ego_pose_token", "refuses"), ("sample_annotation", "instance_token", "runs")],
)
def test_broken_records_stop_those_who_read_them(spoilt: Spoil, table: str, link: str, pretrains: str) -> None:
    found = outcomes(spoilt(table, lambda row: row | {link: "nowhere"} if row["token"].endswith("-1-3") else row))
    assert found["pretrain", "train"][0] == pretrains
    for command in ("finetune", "evaluate"):
        outcome, why = found[command, "val"]
        assert outcome == "refuses" and "broken records of the tables" in why


def test_no_split(own: Path) -> None:
    (own / VERSION / "splits.json").unlink()
    found = outcomes(own)
    assert found["pretrain", "all scenes"][0] == "runs"
    assert found["finetune", "–"][0] == "refuses" and "splits.json" in found["finetune", "–"][1]


def test_sensors_that_the_mapping_names_are_counted(street: Path) -> None:
    found = outcomes(street, sensors=SensorChannels(cameras=("CAM_FRONT",)))
    assert found["pretrain", "train"] == ("runs", "moments: 6 with cameras")
    assert found["finetune", "train"] == ("runs", f"1 scene, keyframes: 6 with cameras; {BOXES} taught boxes")


def test_no_channel_that_is_read(spoilt: Spoil) -> None:
    found = outcomes(spoilt("sensor", lambda row: row | {"channel": f"MY_{row['channel']}"}))
    for command in ("pretrain", "finetune"):
        outcome, why = found[command, "train"]
        assert outcome == "refuses" and "map channels to sensors" in why


# -- the command


def test_terminal_of_80_columns_shows_every_reason_whole(own: Path) -> None:
    token = "f" * 32
    table = own / VERSION / "sample_data.json"
    rows = json.loads(table.read_text())
    rows[0]["filename"] = f"samples/LIDAR_TOP/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__{token}.pcd.bin"
    rows[1] |= {"token": token, "ego_pose_token": "nowhere"}
    table.write_text(json.dumps(rows))
    text = on_terminal(own, 80)
    assert max(len(line) for line in text.splitlines()) <= 80
    words = " ".join(text.split())
    assert "the file is missing" in words and "ego_pose_token points to no record" in words
    assert f"{token}.pcd.bin" in "".join(text.split())


def test_command_prints_a_report_or_json(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["inspect", "--data", str(street), "--version", VERSION]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "0 problems" in out and "0 warnings" in out and "runs" in out
    assert cli.main([*arguments, "--fast", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["channels"][0]["present"] is None
    assert [verdict["outcome"] for verdict in content["verdicts"]] == 6 * ["runs"]


def test_something_broken_that_stops_a_training_is_the_exit_code(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["inspect", "--data", str(own), "--version", VERSION]
    (own / VERSION / "visibility.json").unlink(missing_ok=True)
    assert cli.main(arguments) == 0  # training and scoring do without it
    capsys.readouterr()
    cloud = min((own / "samples/LIDAR_TOP").iterdir())
    cloud.unlink()
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert "stops" in out and len(err.strip().splitlines()) == 1 and cloud.name in err
    assert cli.main([*arguments, "--fast"]) == 0  # the tables are whole


def test_without_a_split_each_command_gets_advice_that_it_can_follow(own: Path) -> None:
    (own / VERSION / "splits.json").unlink()
    verdicts = {verdict.command: verdict for verdict in inspect_dataset(own, VERSION).verdicts}
    assert "--data.split null" in verdicts["pretrain"].why
    for command in ("finetune", "evaluate"):
        assert "splits.json" in verdicts[command].why and "--data.split" not in verdicts[command].why


def test_command_takes_a_mapping_of_channels_and_a_taxonomy(
    spoilt: Spoil, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = spoilt("sensor", lambda row: row | {"channel": row["channel"].replace("LIDAR_TOP", "ROOF")})
    (tmp_path / "channels.yaml").write_text("lidar: [ROOF]\n")
    arguments = ["inspect", "--data", str(root), "--version", VERSION, "--json"]
    assert cli.main([*arguments, "--channels", str(tmp_path / "channels.yaml")]) == 0
    channels = json.loads(capsys.readouterr().out)["channels"]
    assert {channel["channel"]: channel["sensor"] for channel in channels} == {"ROOF": "lidar", "CAM_FRONT": "not used"}
    assert cli.main([*arguments, "--taxonomy", "none.yaml"]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_no_file_and_every_file_contradict(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "--data", str(street), "--version", VERSION, "--fast", "--every-file"]) == 2
    assert "--every_file" in capsys.readouterr().err
