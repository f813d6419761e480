"""Argoverse 2 through the protocol: frames, cameras, boxes, splits; facts from the maker's own poses."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow.feather
import pytest
import torch

from avjepa.data.argoverse2.dataset import Argoverse2Dataset
from avjepa.data.argoverse2.log import EgoPoses
from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import open_dataset
from avjepa.data.degradation import DegradedReader, Late
from avjepa.data.files.images import ImageTransform
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.recorded.records import SceneRecords
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.errors import UserError

from .maker import (
    CAMERAS,
    OBJECTS,
    SWEEPS,
    centre_of,
    ego_pose,
    heading_of,
    landmarks,
    pixels_of,
    stamp,
    sweep_times,
)


def in_level(points: np.ndarray, seconds: float) -> np.ndarray:
    """Points of the city in the level frame: origin and heading of the ego pose alone."""
    position, rotation = ego_pose(seconds)
    forward = rotation.rotation_matrix[:, 0]
    yaw = np.arctan2(forward[1], forward[0])
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return (points - position) @ turn


def load(root: Path, moment: int, inputs: SensorInputs) -> Sample:
    (sample,) = load_samples(open_dataset(root, "sensor"), moment, (inputs,))
    return sample


def test_logs_are_scenes_and_folders_are_splits(argoverse2: Path) -> None:
    dataset = open_dataset(argoverse2, "sensor")
    assert isinstance(dataset, DrivingDataset)
    assert dataset.scene_names == ("log-d", "log-a", "log-b", "log-c")
    assert dataset.scenes_of("train") == ["log-a", "log-b"] and dataset.scenes_of("val") == ["log-c"]
    assert len(dataset) == 4 * SWEEPS
    first = dataset.moments(["log-a"])
    assert [dataset.time_of(moment) for moment in first.tolist()] == [
        stamp(seconds) // 1000 for seconds in sweep_times()
    ]
    assert dataset.token_of(int(first[1])) == f"log-a_{stamp(sweep_times()[1])}"
    assert dataset.recorded("lidar").all() and dataset.recorded("camera").all() and not dataset.recorded("radar").any()
    with pytest.raises(UserError, match=r"split 'mini' does not exist in .*sensor.*; splits there: test, train, val"):
        dataset.scenes_of("mini")


def test_one_split_can_be_opened_by_itself_and_own_ones_be_written(argoverse2: Path, broken: Path) -> None:
    alone = open_dataset(argoverse2 / "sensor", "train")
    assert alone.scenes_of("train") == ["log-a", "log-b"] == alone.scenes_of(None)
    (broken / "sensor" / "splits.json").write_text('{"few": ["log-b"]}')
    assert open_dataset(broken, "sensor").scenes_of("few") == ["log-b"]


def test_sweeps_lie_on_each_other_in_the_level_frame(argoverse2: Path) -> None:
    moment, at = 2 + SWEEPS, sweep_times()[2]  # log-a
    sample = load(argoverse2, moment, SensorInputs(lidar=LidarSweeps(3)))
    assert sample.lidar is not None
    still = in_level(landmarks(), at)
    for lag in (0, 1, 2):
        age = at - sweep_times()[2 - lag]
        own = sample.lidar[(sample.lidar[:, 4] - age).abs() < 1e-4][: len(still)]
        # float16 holds a metre at 32 m to 1/64
        np.testing.assert_allclose(own[:, :3].numpy(), still, atol=0.04)
    assert sample.lidar[0, 3] == 0 and sample.lidar[65, 3] == pytest.approx(65 / 255) and sample.lidar[65, 5] == 1


@pytest.mark.parametrize("size", [(48, 132), (100, 100)])
def test_landmarks_are_where_the_cameras_of_different_sizes_see_them(argoverse2: Path, size: tuple[int, int]) -> None:
    at = sweep_times()[1]
    sample = load(argoverse2, 1 + SWEEPS, SensorInputs(camera=ImageTransform(*size)))
    cameras = sample.cameras
    assert cameras is not None and cameras.channels == ("ring_front_center", "ring_front_left")
    assert cameras.images.shape == (2, 3, *size)
    seen = 0
    for place, name in enumerate(cameras.channels):
        # the nearest image in time: the cameras' 20 Hz are 0 and 10 ms behind the sweeps
        points = torch.from_numpy(in_level(landmarks(), at)).float()
        pose = torch.linalg.inv(cameras.bev_from_camera[place])
        camera = points @ pose[:3, :3].T + pose[:3, 3]
        pixel = camera @ cameras.intrinsics[place].T
        for (u, v, depth), expected in zip(pixel.tolist(), pixels_of(landmarks(), name, at), strict=True):
            column, row = int(u / depth), int(v / depth)
            margin = 3 <= expected[0] < CAMERAS[name][0][1] - 3 and 3 <= expected[1] < CAMERAS[name][0][0] - 3
            if depth > 1 and margin and 0 <= column < size[1] and 0 <= row < size[0]:
                assert cameras.images[place, 0, row, column] > 150
                seen += 1
    assert seen >= 5


def test_the_horizon_lies_in_the_frame_of_an_upright_image_too(argoverse2: Path) -> None:
    sample = load(argoverse2, SWEEPS, SensorInputs(camera=ImageTransform(48, 132)))
    assert sample.cameras is not None
    np.testing.assert_allclose(sample.cameras.intrinsics[:, 1, 2], 0.3 * 48, atol=0.6)


def test_boxes_are_upright_in_the_world_with_the_velocity_of_their_track(argoverse2: Path) -> None:
    dataset = open_dataset(argoverse2, "sensor")
    place, at = 3, sweep_times()[3]
    labels = dataset.labels(SWEEPS + place)
    names = [dataset.track_name(track).removesuffix("-1") for track in labels.track_ids.tolist()]
    # log-a was the first to be made
    names = [name.removesuffix("-0") for name in names]
    assert names == ["car-ahead", "car-parked", "walker", "unseen"], "an animal is of no class"
    position, rotation = ego_pose(at)
    forward = rotation.rotation_matrix[:, 0]
    for box, name, count in zip(labels.boxes.tolist(), names, labels.lidar_points.tolist(), strict=True):
        np.testing.assert_allclose(box[:3], in_level(centre_of(name, at), at), atol=1e-3)
        assert box[3:6] == pytest.approx(OBJECTS[name][1]) and count == OBJECTS[name][4]
        ahead = (rotation * heading_of(name, at)).rotation_matrix[:, 0]
        yaw = np.arctan2(ahead[1], ahead[0]) - np.arctan2(forward[1], forward[0])
        assert np.cos(box[6] - yaw) == pytest.approx(1, abs=1e-6)
        speed = in_level(position + np.array([*OBJECTS[name][3], 0.0]), at)
        np.testing.assert_allclose(box[7:], speed[:2], atol=1e-3)
    assert labels.radar_points.tolist() == [0] * 4


def test_most_boxes_hold_as_many_points_as_they_say(argoverse2: Path) -> None:
    """Counted by hand in the files: float16 moves points across the faces."""
    equal = total = 0
    for log in sorted((argoverse2 / "sensor").glob("*/*")):
        if not (log / "annotations.feather").is_file():
            continue
        for row in pyarrow.feather.read_table(log / "annotations.feather").to_pylist():
            sweep = pyarrow.feather.read_table(log / "sensors" / "lidar" / f"{row['timestamp_ns']}.feather")
            points = np.stack([sweep[axis].to_numpy() for axis in "xyz"], 1).astype(np.float64)
            yaw = 2 * np.arctan2(row["qz"], row["qw"])
            offset = points - [row["tx_m"], row["ty_m"], row["tz_m"]]
            along = np.cos(yaw) * offset[:, 0] + np.sin(yaw) * offset[:, 1]
            across = np.cos(yaw) * offset[:, 1] - np.sin(yaw) * offset[:, 0]
            half = np.array([row["length_m"], row["width_m"], row["height_m"]]) / 2
            inside = (np.abs(np.stack((along, across, offset[:, 2]), 1)) <= half).all(1)
            equal, total = equal + int(inside.sum() == row["num_interior_pts"]), total + 1
    assert total == 3 * SWEEPS * len(OBJECTS)
    assert equal / total > 0.8, f"{equal} of {total}"
    labels = open_dataset(argoverse2, "sensor").labels(SWEEPS)
    cloud = load(argoverse2, SWEEPS, SensorInputs(lidar=LidarSweeps())).lidar
    assert cloud is not None
    offset = cloud[None, :, :3] - labels.boxes[:, None, :3]
    near = (offset.norm(dim=-1) < labels.boxes[:, None, 3:6].norm(dim=-1) / 2).sum(1)
    assert (near >= labels.lidar_points - 2).all(), "the same points, around the boxes of the level frame"


def test_all_keyframes_and_summaries_agree_with_the_labels(argoverse2: Path) -> None:
    dataset = open_dataset(argoverse2, "sensor")
    annotated = dataset.annotated_keyframes(["log-b", "log-c"])
    assert annotated.tokens == dataset.keyframe_tokens(["log-b", "log-c"]) and len(annotated.tokens) == 2 * SWEEPS
    assert len(annotated.boxes) == 2 * SWEEPS * len(OBJECTS) and annotated.attributes is None
    summary = dataset.boxes(dataset.moments(["log-b", "log-c"], keyframes_only=True))
    assert [summary.categories[one] for one in summary.category] == [
        annotated.categories[one] for one in annotated.category
    ]
    assert summary.number.tolist() == [0, 1, 2, 3, -1] * 2 * SWEEPS
    assert summary.lidar_points.tolist() == annotated.lidar_points.tolist()
    moment = int(dataset.moments(["log-c"])[0])
    rows = annotated.track[annotated.keyframe == SWEEPS]
    assert set(dataset.labels(moment).track_ids.tolist()) < set(rows.tolist())
    assert len(set(annotated.track.tolist())) == 2 * len(OBJECTS), "no two logs share a track"


def test_a_test_log_has_no_labels_and_the_data_set_has(argoverse2: Path) -> None:
    dataset = open_dataset(argoverse2, "sensor")
    assert dataset.has_labels() and len(dataset.labels(0)) == 0 and dataset.scene_of(0) == "log-d"
    assert not open_dataset(argoverse2 / "sensor", "test").has_labels()


def test_drivable_areas_are_drawn_in_the_city(argoverse2: Path) -> None:
    mask = open_dataset(argoverse2, "sensor").map_mask("log-a")
    places = np.array([[5000.0, -2000.0], [4981.0, -1991.0], [5039.0, -2019.0], [4970.0, -2000.0], [5000.0, -1980.0]])
    assert mask.at(places).tolist()[:3] == [1, 1, 1] and 1 not in mask.at(places).tolist()[3:]


def test_it_travels_to_other_processes_without_what_it_opened(argoverse2: Path) -> None:
    dataset = open_dataset(argoverse2, "sensor")
    dataset.labels(7)
    sent = pickle.dumps(dataset)
    assert len(sent) < 20_000
    again = pickle.loads(sent)
    assert torch.equal(again.labels(7).boxes, dataset.labels(7).boxes)
    assert again.fingerprint() == dataset.fingerprint()


def test_fingerprints_tell_poses_and_boxes_apart(argoverse2: Path, broken: Path) -> None:
    before = open_dataset(argoverse2, "sensor")
    assert open_dataset(broken, "sensor").fingerprint() == before.fingerprint(), "wherever the folder lies"
    path = broken / "sensor" / "val" / "log-c" / "annotations.feather"
    table = pyarrow.feather.read_table(path)
    size = table["length_m"].to_numpy() + 0.1
    pyarrow.feather.write_feather(table.set_column(table.column_names.index("length_m"), "length_m", [size]), str(path))
    after = open_dataset(broken, "sensor")
    assert after.fingerprint() == before.fingerprint() and after.label_fingerprint() != before.label_fingerprint()


def test_own_channels_are_read_and_unknown_ones_refused(argoverse2: Path) -> None:
    chosen = SensorChannels(lidar=("lidar",), cameras=("ring_front_left",))
    dataset = open_dataset(argoverse2, "sensor", chosen)
    inputs = SensorInputs(camera=ImageTransform(40, 60), radar=RadarSweeps())
    (sample,) = load_samples(dataset, 3, (inputs,))
    assert sample.cameras is not None and sample.cameras.channels == ("ring_front_left",) and sample.radar is None
    with pytest.raises(UserError, match="has no 'ring_rear'; its channels are lidar, ring_front_center"):
        open_dataset(argoverse2, "sensor", SensorChannels(cameras=("ring_rear",)))


def test_a_pose_between_two_rows_is_between_them(argoverse2: Path) -> None:
    poses = EgoPoses(argoverse2 / "sensor" / "train" / "log-a")
    pose = poses.at(np.array([stamp(0.33), stamp(sweep_times()[2])]), "a test")
    for row, seconds in enumerate((0.33, sweep_times()[2])):
        position, rotation = ego_pose(seconds)
        np.testing.assert_allclose(pose[row, :3, 3], position, atol=1e-6)
        np.testing.assert_allclose(pose[row, :3, :3], rotation.rotation_matrix, atol=1e-5)


def test_what_is_known_of_all_logs_is_kept_until_one_of_them_changes(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def counted(self: Argoverse2Dataset, scene: str) -> SceneRecords:
        opened.append(scene)
        return open_scene(self, scene)

    open_scene = Argoverse2Dataset.open_scene
    monkeypatch.setattr(Argoverse2Dataset, "open_scene", counted)
    first = open_dataset(broken, "sensor")
    assert sorted(opened) == ["log-a", "log-b", "log-c", "log-d"]
    opened.clear()
    again = open_dataset(broken, "sensor")
    assert len(again) == len(first) and again.fingerprint() == first.fingerprint() and not opened
    assert all((again.recorded(sensor) == first.recorded(sensor)).all() for sensor in ("lidar", "camera", "radar"))
    next((broken / "sensor" / "val" / "log-c" / "sensors" / "lidar").iterdir()).unlink()
    assert len(open_dataset(broken, "sensor")) == len(first) - 1
    assert open_dataset(broken, "sensor").fingerprint() != first.fingerprint()
    assert open_dataset(broken, "sensor", SensorChannels(lidar=("lidar",))).recorded("camera").sum() == 0


def test_a_sweep_that_is_late_is_the_one_before(argoverse2: Path) -> None:
    dataset = open_dataset(argoverse2, "sensor")
    inputs = (SensorInputs(lidar=LidarSweeps()),)
    late = DegradedReader(dataset, dataset, Late("lidar", 0.1), 0)
    then, before = late.read(SWEEPS + 3, inputs), dataset.read(SWEEPS + 2, inputs)
    assert then.lidar is not None and before.lidar is not None
    assert torch.equal(then.lidar.points, before.lidar.points) and then.token == dataset.token_of(SWEEPS + 3)
