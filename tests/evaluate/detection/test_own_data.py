"""Data that is not quite nuScenes: scored without what is missing, and what was done about it is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from avjepa.data.arrays import Array
from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.evaluate.detection.scoring import evaluate_detection
from avjepa.files import write_json
from avjepa.heads.task import ScoredSplit

VERSION = "v1.0-synth"
SPLITS = {"train": ["scene-a"], "val": ["scene-b"]}
CAR = {
    "category": "vehicle.car", "attribute": "vehicle.parked", "size": [2.0, 4.0, 1.5], "velocity": [0.0, 0.0],
    "xy": [10.0, 0.0], "points": 3,
}  # fmt: skip
FAR_CAR = {**CAR, "xy": [52.0, 0.0]}
"""Beyond the 50 m within which cars count."""


@pytest.fixture
def root(tiny_dataset: Callable[..., Path]) -> Path:
    return tiny_dataset([CAR, FAR_CAR], SPLITS)


def change(root: Path, table: str, keep: Callable[[dict[str, Any]], bool], **values: Any) -> None:
    """Drop rows of a table, and change fields of the others."""
    path = root / VERSION / f"{table}.json"
    write_json(path, [{**row, **values} for row in json.loads(path.read_text()) if keep(row)])


def found(token: str) -> dict[str, Any]:
    """A prediction that fits the near car."""
    return {
        "sample_token": token, "translation": [110.0, 200.0, 1.0], "size": [2.0, 4.0, 1.5], "rotation": [1.0, 0, 0, 0],
        "velocity": [0.0, 0.0], "detection_name": "car", "detection_score": 0.5, "attribute_name": "vehicle.parked",
    }  # fmt: skip


@pytest.fixture
def predictions(write_results: Callable[..., Path]) -> Path:
    """The near car in every sample."""
    return write_results({f"scene-b-{time}": [found(f"scene-b-{time}")] for time in range(3)})


def scored(root: Path, predictions: Path, **about: Any) -> DetectionScores | None:
    split = ScoredSplit(open_dataset(root, VERSION), "val", **about)
    return evaluate_detection(predictions, split, predictions.parent / "out")


def metrics(predictions: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((predictions.parent / "out" / "metrics.json").read_text())
    return content


def means(scores: DetectionScores | None) -> Float[Array, "value"]:
    assert scores is not None
    return np.array([scores.mean_ap, scores.nd_score, *scores.mean_errors.values()])


def test_the_devkit_scores_where_its_tables_are_complete(
    root: Path, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = scored(root, predictions)
    assert scores is not None
    assert scores.class_ap["car"] == pytest.approx(1.0)
    assert metrics(predictions)["evaluator"] == "nuscenes-devkit detection_cvpr_2019"
    assert "scored by nuscenes-devkit detection_cvpr_2019" in capsys.readouterr().out


@pytest.mark.parametrize("table", ["visibility", "map"])
def test_tables_that_only_the_devkit_wants_are_left_out(
    table: str, root: Path, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complete = means(scored(root, predictions))
    (root / VERSION / f"{table}.json").unlink()
    np.testing.assert_allclose(means(scored(root, predictions)), complete, atol=1e-12)
    evaluator = f"avjepa's own evaluator (the devkit needs {table}.json, which is not there)"
    assert metrics(predictions)["evaluator"] == evaluator
    assert f"scored by {evaluator}" in capsys.readouterr().out


def test_the_table_of_attributes_is_left_out(root: Path, predictions: Path) -> None:
    (root / VERSION / "attribute.json").unlink()
    change(root, "sample_annotation", lambda row: True, attribute_tokens=[])
    scores = scored(root, predictions)
    assert scores is not None
    assert np.isnan(scores.mean_errors["attr_err"])
    # 5 mAP and four errors: cars, a tenth of the classes, have mAP 1 and no error; the others have error 1, but cones
    # and barriers lack the velocity's, cones the orientation's
    mean_errors = [9 / 10, 9 / 10, 8 / 9, 7 / 8]
    assert scores.nd_score == pytest.approx((5 * 0.1 + sum(1 - error for error in mean_errors)) / 9)
    assert metrics(predictions)["notes"] == ["attributes are unknown, so NDS is without their error"]


def test_the_file_of_a_map_is_missing(root: Path, predictions: Path) -> None:
    (root / "maps" / "mask.png").unlink()
    assert scored(root, predictions) is not None
    assert metrics(predictions)["evaluator"].startswith("avjepa's own evaluator (the devkit cannot: ")


def test_no_lidar_at_all_but_radar(root: Path, predictions: Path) -> None:
    """The vehicle's place is that of the sensor that is there: it decides which car is in range."""
    complete = means(scored(root, predictions))
    change(root, "sensor", lambda row: True, channel="RADAR_FRONT", modality="radar")
    np.testing.assert_allclose(means(scored(root, predictions)), complete, atol=1e-12)
    assert metrics(predictions)["boxes"] == 3
    change(root, "ego_pose", lambda row: True, translation=[110.0, 200.0, 0.0])
    assert scored(root, predictions) is not None
    assert metrics(predictions)["boxes"] == 6
    evaluator = "avjepa's own evaluator (the devkit needs LIDAR_TOP for every keyframe; it is missing from 3)"
    assert metrics(predictions)["evaluator"] == evaluator


def test_the_lidar_file_of_one_keyframe_was_never_recorded(
    root: Path, write_results: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its boxes count, as missed: the vehicle is where the nearest record of the scene saw it."""
    change(root, "sample_data", lambda row: row["token"] != "scene-b-1")
    tokens = [f"scene-b-{time}" for time in range(3)]
    predictions = write_results({token: [] if token == "scene-b-1" else [found(token)] for token in tokens})
    scores = scored(root, predictions, without_input=("scene-b-1",))
    assert scores is not None
    # precision is 1 up to a recall of 2/3, 0 beyond: of the bins from 11 to 100, 56 count
    assert scores.class_ap["car"] == pytest.approx(56 / 90)
    about = metrics(predictions)
    assert (about["samples"], about["samples_without_input"], about["boxes"]) == (3, 1, 3)
    note = "the score stands on 2 of 3 samples; no sensor data in the others"
    assert note in about["notes"]
    assert note in capsys.readouterr().out
    assert "the devkit needs LIDAR_TOP for every keyframe; it is missing from 1" in about["evaluator"]


@pytest.mark.parametrize("missing", ["rows", "table", "split"])
def test_the_evaluated_split_has_no_annotations(
    missing: str, root: Path, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scored(root, predictions) is not None
    if missing == "table":
        (root / VERSION / "sample_annotation.json").unlink()
    else:
        change(root, "sample_annotation", lambda row: missing == "split" and row["sample_token"].startswith("scene-a"))
    capsys.readouterr()
    assert scored(root, predictions) is None
    said = capsys.readouterr().out
    assert said.startswith("split val: nothing to score: ")
    assert "mAP" not in said
    # no score of earlier predictions is left either
    assert not (predictions.parent / "out" / "metrics.json").exists()
    assert predictions.is_file()


def test_no_annotated_box_counts(root: Path, predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(root, "sample_annotation", lambda row: True, num_lidar_pts=0)
    assert scored(root, predictions) is None
    assert "nothing to score: of 6 annotated boxes none is of a class, in range and hit" in capsys.readouterr().out


def test_numbers_of_points_that_nobody_knows_count(root: Path, predictions: Path) -> None:
    complete = means(scored(root, predictions))
    change(root, "sample_annotation", lambda row: True, num_lidar_pts=-1)
    np.testing.assert_allclose(means(scored(root, predictions)), complete, atol=1e-12)


def test_classes_of_another_data_set(root: Path, write_results: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "classes: [Vehicle, Person]\ncategories: {vehicle.car: Vehicle, walker: Person}\n"
        "groups: [{classes: [Vehicle, Person], nms_radius: 1}]\nranges: {Vehicle: 60, Person: 60}\n"
    )
    boxes = {f"scene-b-{time}": {**found(f"scene-b-{time}"), "detection_name": "Vehicle"} for time in range(3)}
    predictions = write_results({token: [{**box, "attribute_name": ""}] for token, box in boxes.items()})
    split = ScoredSplit(open_dataset(root, VERSION, taxonomy=load_taxonomy(str(path))), "val")
    scores = evaluate_detection(predictions, split, tmp_path / "out")
    assert scores is not None
    # both cars are in range now: half of them are found, with precision 1
    assert scores.class_ap == pytest.approx({"Vehicle": (39 * 0.9 + 0.9) / 90 / 0.9, "Person": 0.0})
    assert np.isnan(scores.mean_errors["attr_err"])
    assert "knows nuScenes' classes alone" in metrics(predictions)["evaluator"]
