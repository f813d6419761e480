"""MAN TruckScenes through the protocol, held against its own devkit and the poses that it was made with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.data.channels import NUSCENES_CHANNELS
from avjepa.data.datasets import layout_of, open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS, read_lidar, read_radar
from avjepa.data.files.radar import CRN_RADAR_FILTER, DEVKIT_RADAR_FILTER
from avjepa.data.nuscenes.truckscenes import CHANNELS as OFFICIAL
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs, require_recorded
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.fast import FastDetectionEval
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.result_file import read_result_file
from tests.data.conftest import TARGET_VELOCITY, ego_pose
from tests.data.conftest import VERSION as TINY

from .maker import CHANNELS, SCENES, VERSION


def test_it_is_known_by_its_tables_and_read_by_its_own_channels_and_classes(truckscenes: Path) -> None:
    assert layout_of(truckscenes, VERSION) == "truckscenes"
    dataset = open_dataset(truckscenes, VERSION)
    assert dataset.channels == OFFICIAL and set(dataset.recorded_channels) == set(CHANNELS.values())
    assert dataset.taxonomy == load_taxonomy("truckscenes")
    assert dataset.scene_descriptions()[SCENES[0]] == "weather.clear;area.terminal"
    labels = dataset.labels(int(dataset.moments(keyframes_only=True)[0]))
    assert [dataset.taxonomy.classes[one] for one in labels.class_index] == ["car", "pedestrian", "animal"]


def test_points_images_and_boxes_are_those_of_the_same_scene_in_nuscenes(tiny: Path, truckscenes: Path) -> None:
    inputs = SensorInputs(LidarSweeps(3), None, ImageTransform(45, 80))
    for moment in (0, 5, 18):
        (ours,) = load_samples(open_dataset(truckscenes, VERSION), moment, (inputs,))
        (same,) = load_samples(open_dataset(tiny, TINY), moment, (inputs,))
        assert ours.lidar is not None and same.lidar is not None and ours.cameras is not None
        assert torch.equal(ours.lidar[:, :5], same.lidar[:, :5]) and (ours.lidar[:, 5] == 0).all()
        assert same.cameras is not None and torch.equal(ours.cameras.images, same.cameras.images)


def test_the_sensors_own_motion_is_taken_out_of_radar_velocities(truckscenes: Path) -> None:
    dataset = open_dataset(truckscenes, VERSION)
    moment = int(dataset.moments([SCENES[0]], keyframes_only=True)[2])
    (sample,) = load_samples(dataset, moment, (SensorInputs(radar=RadarSweeps(1)),))
    assert sample.radar is not None and len(sample.radar) == 2 * 7
    velocity = sample.radar[:, 5:7].numpy().reshape(2, 7, 2)
    assert np.abs(velocity[:, :6]).max() < 0.15, "what is at rest has no velocity, while the vehicle drives 6 m/s"
    _, heading = ego_pose(1.0)
    forward = heading.rotation_matrix[:, 0]
    yaw = np.arctan2(forward[1], forward[0])
    turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    over_ground = turn @ TARGET_VELOCITY[:2]
    for row, mounted in enumerate(([3.4, 0.0], [-0.6, 0.6])):
        # a radar sees the part of the velocity along its ray
        ray = sample.radar[row * 7 + 6, :2].numpy() - mounted
        ray = ray / np.linalg.norm(ray)
        np.testing.assert_allclose(velocity[row, 6], ray * (ray @ over_ground), atol=0.2)


def test_no_filter_of_nuscenes_states_drops_returns_that_have_none(truckscenes: Path) -> None:
    points = read_radar(next((truckscenes / "samples" / "RADAR_LEFT_FRONT").iterdir()))
    assert DEVKIT_RADAR_FILTER.keeps(points).all() and CRN_RADAR_FILTER.keeps(points).all()


def test_files_are_read_as_by_the_devkit(truckscenes: Path) -> None:
    classes = pytest.importorskip("truckscenes.utils.data_classes")
    path = next((truckscenes / "samples" / "LIDAR_LEFT").iterdir())
    np.testing.assert_array_equal(read_lidar(path)[:, :4], classes.LidarPointCloud.from_file(str(path)).points.T)
    path = next((truckscenes / "samples" / "RADAR_LEFT_BACK").iterdir())
    columns = [RADAR_FILE_FIELDS.index(name) for name in ("x", "y", "z", "vx", "vy", "rcs")]
    official = classes.RadarPointCloud.from_file(str(path)).points.T
    np.testing.assert_array_equal(read_radar(path)[:, columns], official[:, [0, 1, 2, 3, 4, 6]])


def test_splits_are_those_of_the_devkit_or_of_a_file(truckscenes: Path, tmp_path: Path) -> None:
    pytest.importorskip("truckscenes")
    assert open_dataset(truckscenes, VERSION).scenes_of("mini_val") == [SCENES[1]]
    own = Path(shutil.copytree(truckscenes, tmp_path / "own"))
    (own / VERSION).rename(own / "v1.0-mini")  # nuScenes has a version of this name too, with scenes of its own
    assert open_dataset(own, "v1.0-mini").scenes_of("mini_train") == [SCENES[0]]
    (own / "v1.0-mini" / "splits.json").write_text(json.dumps({"mine": SCENES}))
    assert open_dataset(own, "v1.0-mini").scenes_of("mine") == SCENES


def test_other_channels_have_to_be_there(truckscenes: Path) -> None:
    dataset = open_dataset(truckscenes, VERSION, NUSCENES_CHANNELS)
    with pytest.raises(UserError, match="has no lidar channel"):
        require_recorded(("lidar",), dataset.channels, dataset.recorded_channels, dataset.name)


def test_scores_are_those_of_the_devkit(truckscenes: Path, tmp_path: Path) -> None:
    evaluation = pytest.importorskip("truckscenes.eval.detection.evaluate")
    config = pytest.importorskip("truckscenes.eval.detection.config").config_factory("detection_cvpr_2024")
    tables = pytest.importorskip("truckscenes").TruckScenes(VERSION, str(truckscenes), verbose=False)
    dataset = open_dataset(truckscenes, VERSION)
    annotated = dataset.annotated_keyframes(dataset.scenes_of("mini_val"))
    random = np.random.default_rng(2)
    results: dict[str, list[dict]] = {token: [] for token in annotated.tokens}
    for box, keyframe, kind in zip(annotated.boxes, annotated.keyframe, annotated.class_index, strict=True):
        for _ in range(2):
            yaw = box[6] + random.normal(0, 0.3)
            results[annotated.tokens[keyframe]].append(
                {
                    "sample_token": annotated.tokens[keyframe],
                    "translation": (box[:3] + random.normal(0, 0.7, 3)).tolist(),
                    "size": (box[[4, 3, 5]] * random.uniform(0.8, 1.2, 3)).tolist(),
                    "rotation": [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)],
                    "velocity": (np.nan_to_num(box[7:]) + random.normal(0, 0.5, 2)).tolist(),
                    "detection_name": dataset.taxonomy.classes[kind],
                    "detection_score": float(random.uniform()),
                    "attribute_name": "",
                }
            )
    about = {f"use_{name}": False for name in ("camera", "radar", "map", "external")} | {"use_lidar": True}
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"meta": about, "results": results}))
    official = evaluation.DetectionEval(tables, config, str(path), "mini_val", str(tmp_path), verbose=False)
    found = official.evaluate()[0].serialize()["all"]
    truth = GroundTruth.of(annotated, dataset.taxonomy)
    ours = FastDetectionEval(truth, dataset.taxonomy).evaluate(read_result_file(path, dataset.taxonomy))
    assert len(set(truth.boxes.class_index.tolist())) >= 3
    assert ours.mean_ap == pytest.approx(found["mean_ap"], abs=1e-9) and ours.mean_ap > 0.05
    assert ours.nd_score == pytest.approx(found["nd_score"], abs=1e-9)
    for name in dataset.taxonomy.classes:
        for error, expected in found["label_tp_errors"][name].items():
            assert ours.class_errors[name][error] == pytest.approx(expected, abs=1e-9, nan_ok=True), (name, error)
