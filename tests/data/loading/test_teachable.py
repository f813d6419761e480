"""Boxes of another data set: categories nobody mapped, points nobody counted."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from avjepa.data.augmentation.gt_sampling import GTSampling
from avjepa.data.datasets import open_dataset
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.errors import UserError

from ..conftest import VERSION
from ..nuscenes.test_index import edit

OWN_NAMES = {"vehicle.car": "PASSENGER_CAR", "human.pedestrian.adult": "PERSON", "movable_object.barrier": "FENCE"}


def module(root: Path, **options: Any) -> DetectionDataModule:
    data = DetectionDataModule(dataroot=str(root), **{"version": VERSION, "workers": 0, "batch_size": 4, **options})
    data.setup()
    return data


@pytest.fixture
def renamed(copy: Path) -> Path:
    """The categories have names of their own."""
    edit(copy, "category", lambda rows: [row | {"name": OWN_NAMES.get(row["name"], row["name"])} for row in rows])
    return copy


def test_categories_that_the_taxonomy_does_not_know_are_named_before_a_training_that_would_learn_nothing(
    renamed: Path,
) -> None:
    with pytest.raises(UserError) as caught:
        module(renamed).train_dataloader()
    # the tiny world's first scene: a car in four keyframes, a pedestrian in three, an animal in two, a barrier in one
    assert "no box of the chosen scenes is of a category that the taxonomy knows" in str(caught.value)
    assert "PASSENGER_CAR (4), PERSON (3), animal (2), FENCE (1); map them" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_map_in_the_configuration_teaches_them(renamed: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    content = {
        "classes": ["walker", "vehicle"],
        "categories": {"PASSENGER_CAR": "vehicle", "PERSON": "walker", "FENCE": None},
        "groups": [{"classes": ["walker", "vehicle"], "nms_radius": 1.0}],
        "ranges": {"walker": 40, "vehicle": 50},
    }
    path.write_text(yaml.safe_dump(content))
    batch = next(iter(module(renamed, taxonomy=str(path), steps=1).train_dataloader()))
    assert batch.labels is not None
    found = {token: labels.class_index.tolist() for token, labels in zip(batch.tokens, batch.labels, strict=True)}
    assert found == {"sample-0-0": [1, 0], "sample-0-1": [1, 0], "sample-0-2": [1], "sample-0-3": [1, 0]}


def test_scenes_without_any_box_are_refused(copy: Path) -> None:
    edit(copy, "sample_annotation", lambda rows: [row for row in rows if row["sample_token"].startswith("sample-1")])
    with pytest.raises(
        UserError,
        match="none of its 10 annotated boxes is in the chosen scenes; choose others",
    ):
        module(copy).train_dataloader()


# -- numbers of points

LANDMARK_BOX = {"translation": [305.0, 1003.0, 2.0], "size": [61.0, 61.0, 8.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
"""Holds all forty landmarks of the tiny world, in whose every sweep they are."""


def with_counts(root: Path, lidar: int | None, radar: int | None) -> Path:
    """One pedestrian's box about all landmarks in every keyframe of it, and these numbers of points in every record."""

    def changed(row: dict[str, Any]) -> dict[str, Any]:
        box = LANDMARK_BOX if row["token"].split("-")[2] == "1" else {}
        return row | box | {"num_lidar_pts": lidar, "num_radar_pts": radar}

    edit(root, "sample_annotation", lambda rows: [changed(row) for row in rows])
    return root


@pytest.mark.parametrize(("lidar", "radar"), [(-1, -1), (0, 0), (-1, 0)])
def test_points_that_nobody_counted_are_counted(copy: Path, lidar: int, radar: int) -> None:
    dataset = open_dataset(with_counts(copy, lidar, radar), VERSION)
    labels = dataset.labels(int(dataset.moments(keyframes_only=True)[0]))
    car, pedestrian = labels.lidar_points.tolist()
    assert pedestrian == 42  # forty landmarks, and two of the four points near the sensor: the others are the vehicle's
    assert car == 0
    assert labels.radar_points[1] >= 12  # six landmarks in each of two radars; the moving target may be inside as well
    assert labels.with_points().tolist() == [False, True]
    next(iter(module(copy, steps=1).train_dataloader()))  # is not refused


def test_counts_that_the_tables_have_stay_as_they_are(copy: Path) -> None:
    dataset = open_dataset(with_counts(copy, 7, 0), VERSION)
    labels = dataset.labels(int(dataset.moments(keyframes_only=True)[0]))
    assert labels.lidar_points.tolist() == [7, 7] and labels.radar_points.tolist() == [0, 0]


def test_one_scene_that_was_counted_leaves_the_other_one_unknown(copy: Path) -> None:
    with_counts(copy, 0, 0)
    edit(
        copy,
        "sample_annotation",
        lambda rows: [row | {"num_lidar_pts": 5 * row["sample_token"].startswith("sample-0")} for row in rows],
    )
    dataset = open_dataset(copy, VERSION)
    first, second = dataset.moments(["scene-0000"], True), dataset.moments(["scene-0001"], True)
    assert (dataset.boxes(first).lidar_points == 5).all() and (dataset.boxes(first).radar_points == 0).all()
    assert (dataset.boxes(second).lidar_points == -1).all()
    assert dataset.labels(int(second[0])).lidar_points[1] == 42


def test_a_split_whose_boxes_hold_no_point_is_refused(copy: Path) -> None:
    edit(copy, "sample_annotation", lambda rows: [row | {"num_lidar_pts": -1, "num_radar_pts": -1} for row in rows])
    with pytest.raises(UserError, match="no LiDAR or radar point lies in any box of the chosen scenes") as caught:
        module(copy).train_dataloader()
    assert "\n" not in str(caught.value)


def test_without_a_sensor_to_count_by_boxes_are_taught_whatever_they_hold(copy: Path) -> None:
    with_counts(copy, -1, -1)
    sensors = json.loads((copy / VERSION / "sensor.json").read_text())
    cameras = [row["token"] for row in sensors if "CAM" in row["token"]]
    edit(copy, "calibrated_sensor", lambda rows: [row for row in rows if row["sensor_token"] in cameras])
    edit(copy, "sample_data", lambda rows: [row for row in rows if "CAM" in row["token"]])
    batch = next(iter(module(copy, sensors=["camera"], image_size=(45, 80), steps=1).train_dataloader()))
    assert batch.labels is not None
    for labels in batch.labels:
        assert (labels.lidar_points == -1).all() and (labels.radar_points == -1).all()
        assert labels.with_points().all()


def test_objects_of_unknown_points_are_pasted_by_those_that_are_cut(copy: Path) -> None:
    with_counts(copy, -1, -1)
    sampling = GTSampling({"car": 3, "pedestrian": 3}, minimum_points=5, turn=3.0, stop_fraction=0.0)
    for batch in module(copy, gt_sampling=sampling, steps=4).train_dataloader():
        assert batch.labels is not None
        for labels in batch.labels:
            pasted = labels.selected(labels.track_ids < 0)
            assert (pasted.class_index == 8).all() and (pasted.lidar_points >= 5).all()
            assert torch.equal(~pasted.track_ids % 4, torch.ones(len(pasted), dtype=torch.int64))
