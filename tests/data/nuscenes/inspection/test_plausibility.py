"""Conventions that a data set may break, each broken in a small street: a warning names it. Of the street, none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyquaternion import Quaternion

from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
from tests.data.nuscenes.inspection.conftest import VERSION, Spoil


def warnings(root: Path) -> dict[str, str]:
    report = inspect_dataset(root, VERSION)
    assert report.problems == ()
    assert len({finding.where for finding in report.warnings}) == len(report.warnings)
    return {finding.where.removeprefix(f"{VERSION}/"): finding.problem for finding in report.warnings}


def in_unit(factor: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: row | {"timestamp": round(row["timestamp"] * factor)}


def since_start(factor: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: row | {"timestamp": round((row["timestamp"] - 1_599_999_990_000_000) * factor)}


def last_first(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"rotation": [*row["rotation"][1:], row["rotation"][0]]}


def turned(degrees: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    turn = Quaternion(axis=[0, 0, 1], degrees=degrees)
    return lambda row: row | {"rotation": list((Quaternion(row["rotation"]) * turn).elements)}


def mirrored(row: dict[str, Any]) -> dict[str, Any]:
    w, x, y, z = row["rotation"]
    return row | {"rotation": [w, x, y, -z]}


def change_clouds(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    for path in (root / "samples/LIDAR_TOP").iterdir():
        change(np.fromfile(path, np.float32).reshape(-1, 5)).astype(np.float32).tofile(path)
    return root


def column(number: int, change: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], np.ndarray]:
    def changed(points: np.ndarray) -> np.ndarray:
        points[:, number] = change(points[:, number])
        return points

    return changed


def test_nothing_is_said_of_a_sound_dataset(street: Path) -> None:
    assert warnings(street) == {}


@pytest.mark.parametrize(
    ("change", "unit"),
    [
        (in_unit(1e3), "nanoseconds"), (in_unit(1e-3), "milliseconds"), (in_unit(1e-6), "seconds"),
        (since_start(1e3), "nanoseconds"), (since_start(1e-3), "milliseconds"),
    ],
)  # fmt: skip
def test_unit_of_the_timestamps(spoilt: Spoil, change: Callable[[dict[str, Any]], dict[str, Any]], unit: str) -> None:
    """With another unit the tables are sound, and every velocity and every age of a sweep is wrong by 1,000 or more."""
    for table in ("sample", "sample_data", "ego_pose"):
        root = spoilt(table, change)
    report = inspect_dataset(root, VERSION)
    (found,) = [finding for finding in report.warnings if "timestamps are microseconds" in finding.problem]
    assert found.where == f"{VERSION}/sample_data.json" and f"look like {unit}" in found.problem


def test_times_that_start_at_zero_are_microseconds_too(spoilt: Spoil) -> None:
    for table in ("sample", "sample_data", "ego_pose"):
        root = spoilt(table, since_start(1.0))
    assert warnings(root) == {}


def test_keyframes_in_another_unit_than_their_files(spoilt: Spoil) -> None:
    found = inspect_dataset(spoilt("sample", in_unit(1e-3)), VERSION).warnings
    (about,) = [finding for finding in found if finding.where == f"{VERSION}/sample.json"]
    assert "check the units of both tables" in about.problem


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("sample_annotation", last_first, "all boxes look along x; the quaternions seem to be stored as x, y, z, w"),
        ("sample_annotation", turned(90), "moving vehicles head 90 degrees off"),
        ("sample_annotation", turned(180), "drive backwards"),
        ("sample_annotation", mirrored, "degrees off their motion"),
        ("ego_pose", last_first, "lies on its side or roof; the quaternions seem to be stored as x, y, z, w"),
        # the way to the next keyframe, on the circle, turns by 4.3 degrees
        ("ego_pose", turned(90), "drives 86 degrees off its heading"),
        ("ego_pose", turned(180), "drives 176 degrees off its heading"),
        ("ego_pose", lambda row: row | {"rotation": [2 * v for v in row["rotation"]]}, "quaternions of length 2"),
        ("calibrated_sensor", last_first, "stored as x, y, z, w"),
    ],
)
def test_rotations(spoilt: Spoil, table: str, change: Callable[[Any], Any], words: str) -> None:
    root = spoilt(table, change)
    found = inspect_dataset(root, VERSION).warnings
    about = [finding.problem for finding in found if finding.where == f"{VERSION}/{table}.json"]
    assert any(words in problem for problem in about), found


def test_sizes_as_length_width_height(spoilt: Spoil) -> None:
    def swapped(row: dict[str, Any]) -> dict[str, Any]:
        width, length, height = row["size"]
        return row | {"size": [length, width, height]}

    assert "wider than long" in warnings(spoilt("sample_annotation", swapped))["sample_annotation.json"]


def test_boxes_in_the_frame_of_the_vehicle(spoilt: Spoil) -> None:
    def moved(row: dict[str, Any]) -> dict[str, Any]:
        x, y, z = row["translation"]
        return row | {"translation": [x - 400, y - 900, z]}

    found = inspect_dataset(spoilt("sample_annotation", moved), VERSION).warnings
    assert any("global frame of ego_pose" in finding.problem for finding in found)


def test_tracks_that_jump(spoilt: Spoil) -> None:
    def moved(row: dict[str, Any]) -> dict[str, Any]:
        x, y, z = row["translation"]
        return row | {"translation": [x + (60 if row["token"].endswith(("1", "4")) else 0), y, z]}

    found = inspect_dataset(spoilt("sample_annotation", moved), VERSION).warnings
    assert any("faster than 60 m/s" in finding.problem for finding in found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (column(3, lambda values: values / 255), "at most 1; 0 to 255 are expected: multiply them by 255"),
        (column(3, lambda values: values * 257), "intensities from 0 to 65535"),
        (column(3, lambda values: values * 0), "all are 0"),
        (column(4, lambda values: values / 10 + 0.05), "no beam index"),
    ],
)
def test_values_of_a_point(own: Path, change: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    assert words in warnings(change_clouds(own, change))["LIDAR_TOP"]


@pytest.mark.parametrize("count", [4, 6])
@pytest.mark.parametrize("whole", [True, False], ids=["a size that five values fit", "a size that they do not"])
def test_number_of_values_of_a_point(own: Path, count: int, whole: bool) -> None:
    """Read as five values, files of four or six whose size happens to fit give a cloud of noise and no error."""

    def other(points: np.ndarray) -> np.ndarray:
        points = points[: len(points) // 60 * 60 - (0 if whole else 1)]
        return np.hstack((points[:, :4], np.zeros((len(points), count - 4)) + 0.5))

    report = inspect_dataset(change_clouds(own, other), VERSION)
    said = [finding.problem for finding in (report.warnings if whole else report.problems)]
    assert any(f"seems to hold {count} values a point" in problem for problem in said)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_clouds_in_another_unit_or_frame_than_the_boxes(own: Path, scale: float) -> None:
    def scaled(points: np.ndarray) -> np.ndarray:
        points[:, :3] *= scale
        return points

    assert "another frame or unit" in warnings(change_clouds(own, scaled))["sample_annotation.json"]


def test_boxes_without_any_point(spoilt: Spoil) -> None:
    root = spoilt("sample_annotation", lambda row: row | {"num_lidar_pts": 0})
    assert "0 in every box" in warnings(root)["sample_annotation.json"]


def test_categories_of_another_data_set_and_classes_without_boxes(spoilt: Spoil) -> None:
    root = spoilt("category", lambda row: row | {"name": row["name"].replace("vehicle.car", "Auto")})
    found = warnings(root)
    assert "'Auto' is no category of the taxonomy: nothing is taught by its 96 boxes" in found["category.json"]
    assert found["sample_annotation.json"] == "classes without a box: car"


def test_channels_that_nothing_reads(spoilt: Spoil) -> None:
    spoilt("sample_data", lambda row: row)
    root = spoilt("sensor", lambda row: row | {"channel": row["channel"].replace("CAM_FRONT", "CAMERA_AHEAD")})
    assert "read by no command" in warnings(root)["CAMERA_AHEAD"]


@pytest.mark.parametrize("table", ["attribute", "visibility", "map"])
def test_tables_that_only_scoring_wants(own: Path, table: str) -> None:
    (own / VERSION / f"{table}.json").unlink()
    assert "the devkit's own evaluation does not run" in warnings(own)[f"{table}.json"]
    report = inspect_dataset(own, VERSION)
    assert all(verdict.outcome == "runs" for verdict in report.verdicts)
    assert any(f"own evaluator (the devkit needs {table}.json" in verdict.why for verdict in report.verdicts)


@pytest.mark.realdata
def test_real_recordings_are_plausible(real_keyframe: Path, real_metadata: Path) -> None:
    """Only what is truly not there is said."""
    for root in (real_keyframe, real_metadata):
        found = inspect_dataset(root, "v1.0-mini").warnings
        assert [finding.problem.split(":")[0] for finding in found] == ["classes without a box"]
        json.dumps([finding.problem for finding in found])
