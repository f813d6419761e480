"""The tables, as the devkit reads them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from nuscenes.eval.common.loaders import load_gt_of_sample_tokens
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import get_scenes_of_custom_split
from PIL import Image

from avjepa.data.nuscenes.schema import CAMERA_CHANNELS, LIDAR_CHANNEL, RADAR_CHANNELS
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import box
from avjepa.synth.dataset.labels import KeyframeTruth, label_rows
from avjepa.synth.dataset.truth import Boxes
from avjepa.synth.traffic.actors import Actor
from tests.synth.conftest import KEYFRAMES, WIDTH

CHANNELS = (LIDAR_CHANNEL, *CAMERA_CHANNELS, *RADAR_CHANNELS)


def test_every_table_is_there_and_every_keyframe_has_the_whole_rig(nusc: NuScenes, dataset: Path) -> None:
    names = {path.stem for path in (dataset / "v1.0-synth").glob("*.json")} - {"splits", "synth"}
    assert names == set(nusc.table_names) and len(names) == 13
    assert len(nusc.category) == 23 and len(nusc.sample) == 3 * KEYFRAMES
    for sample in nusc.sample:
        assert set(sample["data"]) == set(CHANNELS)


def test_chains_run_through_all_sweeps_in_the_order_of_time(nusc: NuScenes) -> None:
    for scene in nusc.scene:
        first = nusc.get("sample", scene["first_sample_token"])
        for channel in CHANNELS:
            row = nusc.get("sample_data", first["data"][channel])
            assert row["prev"] == ""
            stamps, keys = [row["timestamp"]], [row["is_key_frame"]]
            while row["next"]:
                after = nusc.get("sample_data", row["next"])
                assert after["prev"] == row["token"]
                row = after
                stamps.append(row["timestamp"])
                keys.append(row["is_key_frame"])
            assert sum(keys) == KEYFRAMES
            assert len(stamps) == (KEYFRAMES if channel in CAMERA_CHANNELS else 5 * (KEYFRAMES - 1) + 1)
            steps = np.diff(stamps) / 1e6
            expected = 0.5 if channel in CAMERA_CHANNELS else 0.1
            assert np.all(np.abs(steps - expected) < 0.005)


def test_sensors_fire_at_their_own_times_from_their_own_poses(nusc: NuScenes) -> None:
    rows = [nusc.get("sample_data", token) for token in nusc.sample[0]["data"].values()]
    assert len({row["timestamp"] for row in rows}) > 8
    assert max(row["timestamp"] for row in rows) - min(row["timestamp"] for row in rows) < 90_000
    for row in rows:
        assert nusc.get("ego_pose", row["ego_pose_token"])["timestamp"] == row["timestamp"]


def test_images_have_the_size_that_the_tables_say(nusc: NuScenes, dataset: Path) -> None:
    for channel in CAMERA_CHANNELS:
        row = nusc.get("sample_data", nusc.sample[-1]["data"][channel])
        assert (row["width"], row["height"]) == (WIDTH, WIDTH * 9 // 16)
        with Image.open(dataset / row["filename"]) as image:
            assert image.size == (row["width"], row["height"])


def test_the_vehicle_drives_on_what_the_map_mask_calls_drivable(nusc: NuScenes) -> None:
    for scene in nusc.scene:
        mask = next(m["mask"] for m in nusc.map if scene["log_token"] in m["log_tokens"])
        sample = nusc.get("sample", scene["first_sample_token"])
        while True:
            pose = nusc.get("ego_pose", nusc.get("sample_data", sample["data"][LIDAR_CHANNEL])["ego_pose_token"])
            x, y, _ = pose["translation"]
            assert mask.is_on_mask(np.array([x]), np.array([y]))[0]
            if not sample["next"]:
                break
            sample = nusc.get("sample", sample["next"])


def test_the_map_mask_holds_carriageways_and_not_the_pavements(nusc: NuScenes) -> None:
    on_mask: dict[str, list[bool]] = {"vehicle": [], "human": []}
    for row in nusc.sample_annotation:
        kind = row["category_name"].split(".")[0]
        scene = nusc.get("scene", nusc.get("sample", row["sample_token"])["scene_token"])
        mask = next(m["mask"] for m in nusc.map if scene["log_token"] in m["log_tokens"])
        if kind in on_mask:
            x, y, _ = row["translation"]
            on_mask[kind].append(bool(mask.is_on_mask(np.array([x]), np.array([y]))[0]))
    assert np.mean(on_mask["vehicle"]) > 0.8 and np.mean(on_mask["human"]) < 0.5


def test_the_devkit_finds_the_splits_and_loads_their_ground_truth(nusc: NuScenes, dataset: Path) -> None:
    splits = json.loads((dataset / "v1.0-synth" / "splits.json").read_text())
    assert sorted(splits["train"] + splits["val"]) == sorted(scene["name"] for scene in nusc.scene)
    assert get_scenes_of_custom_split("val", nusc) == splits["val"] != []
    truth = load_gt_of_sample_tokens(nusc, [sample["token"] for sample in nusc.sample], DetectionBox)
    names = [found.detection_name for found in truth.all]
    assert {"car", "pedestrian"} <= set(names)
    assert names.count("car") + names.count("pedestrian") > len(names) / 2


def test_attributes_follow_the_motion(nusc: NuScenes) -> None:
    checked = 0
    for row in nusc.sample_annotation:
        velocity = nusc.box_velocity(row["token"])[:2]
        names = [nusc.get("attribute", token)["name"] for token in row["attribute_tokens"]]
        if row["category_name"].startswith("movable_object"):
            assert names == []
            continue
        assert len(names) == 1
        if not np.isfinite(velocity).all():
            continue
        speed = float(np.hypot(*velocity))
        if names[0] in ("vehicle.parked", "cycle.without_rider", "pedestrian.sitting_lying_down"):
            assert speed < 1e-3
        if names[0] == "vehicle.moving":
            # the devkit averages over a second, in which a vehicle may have stopped or set off
            assert speed > 0.05
        checked += 1
    assert checked > 100


def _truth(points: int, distance: float) -> KeyframeTruth:
    boxes = Boxes(np.zeros((1, 3)), np.array([[2.0, 4.5, 1.6]]), np.zeros(1))
    count = np.array([points])
    return KeyframeTruth(boxes, np.zeros((1, 2)), count, np.zeros(1, np.int64), np.array([1]), np.array([distance]))


@pytest.mark.parametrize(
    ("points", "distance", "frames"),
    [
        ([5, 0, 0, 7, 0], 70.0, [0, 1, 2, 3]),  # hidden for a second, out of sight for good
        ([0, 0, 3, 0, 0], 20.0, [0, 1, 2, 3, 4]),  # near, mostly hidden
        ([0, 0, 0, 0, 0], 20.0, []),  # never seen by anything
    ],
)
def test_an_instance_keeps_its_token_through_a_gap(points: list[int], distance: float, frames: list[int]) -> None:
    actor = Actor("vehicle.car", (box((4.5, 2, 1.6), (0, 0, 0.8), (1.0, 1.0, 1.0), Material.PAINT),), "parked")
    samples = [{"token": f"sample {i}"} for i in range(5)]
    name = "/".join
    instances, rows = label_rows(
        lambda *parts: name(map(str, parts)), (actor,), samples, [_truth(count, distance) for count in points]
    )
    assert [row["sample_token"] for row in rows] == [f"sample {i}" for i in frames]
    assert len({row["instance_token"] for row in rows}) == len(instances) == (1 if frames else 0)
    for before, after in itertools.pairwise(rows):
        assert before["next"] == after["token"] and after["prev"] == before["token"]
    if frames:
        assert instances[0]["nbr_annotations"] == len(frames)
