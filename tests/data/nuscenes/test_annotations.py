import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes import NuScenes
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.utils.geometry_utils import view_points
from pyquaternion import Quaternion

from avjepa.data.datasets import open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.moment_files import MomentFiles
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.geometry.boxes import box_corners, points_in_boxes, transform_boxes
from avjepa.geometry.transforms import apply, inverse

from ..conftest import VERSION
from ..nuscenes.test_index import edit

CLASSES = load_taxonomy("nuscenes").classes


def devkit_labels(devkit: NuScenes, sample_token: str) -> dict[str, tuple[np.ndarray, str, dict]]:
    """(box row in the level frame, class, annotation) by instance, all by the devkit's own functions.

    Its heading is what the devkit calls the yaw of the ego pose.
    """
    lidar = devkit.get("sample_data", devkit.get("sample", sample_token)["data"]["LIDAR_TOP"])
    ego = devkit.get("ego_pose", lidar["ego_pose_token"])
    heading = Quaternion(axis=(0, 0, 1), radians=quaternion_yaw(Quaternion(ego["rotation"])))
    result = {}
    for token in devkit.get("sample", sample_token)["anns"]:
        annotation = devkit.get("sample_annotation", token)
        name = category_to_detection_name(annotation["category_name"])
        if name is None:
            continue
        box = devkit.get_box(token)
        box.velocity = devkit.box_velocity(token)
        box.translate(-np.array(ego["translation"]))
        box.rotate(heading.inverse)
        width, length, height = box.wlh
        row = np.array([*box.center, length, width, height, quaternion_yaw(box.orientation), *box.velocity[:2]])
        result[annotation["instance_token"]] = (row, name, annotation)
    return result


def check_labels(root: Path, version: str, devkit: NuScenes) -> int:
    index = DatasetIndex.open(root, version)
    annotations = AnnotationIndex.open(index, load_taxonomy("nuscenes"))
    count = 0
    for moment in index.moments(keyframes_only=True):
        labels = annotations.labels(int(moment))
        theirs = devkit_labels(devkit, index.moment_token(int(moment)))
        instances = [annotations.instance_token(track) for track in labels.track_ids.tolist()]
        assert set(instances) == set(theirs)
        for row, instance in enumerate(instances):
            expected, name, annotation = theirs[instance]
            ours = labels.boxes[row].numpy()
            np.testing.assert_allclose(ours[:6], expected[:6], atol=2e-4)
            turn = (ours[6] - expected[6] + np.pi) % (2 * np.pi) - np.pi
            assert abs(turn) < 2e-4
            np.testing.assert_allclose(ours[7:], expected[7:], atol=2e-4)
            assert CLASSES[int(labels.class_index[row])] == name
            assert int(labels.lidar_points[row]) == annotation["num_lidar_pts"]
            assert int(labels.radar_points[row]) == annotation["num_radar_pts"]
            assert int(labels.visibility[row]) == int(annotation["visibility_token"] or 0)
        count += len(labels)
    return count


def test_labels_agree_with_the_devkit(tiny: Path, devkit: NuScenes) -> None:
    assert check_labels(tiny, VERSION, devkit) == 2 * (4 + 3 + 1)


def test_labels_agree_with_the_devkit_on_real_tables(real_metadata: Path) -> None:
    """Every box of 81 real keyframes: place, size, heading, class, velocity, instance."""
    devkit = NuScenes("v1.0-mini", str(real_metadata), verbose=False)
    assert check_labels(real_metadata, "v1.0-mini", devkit) == 4514 - 73  # 73 boxes of other categories


def test_global_velocities_equal_the_devkits_on_real_tables(real_metadata: Path) -> None:
    devkit = NuScenes("v1.0-mini", str(real_metadata), verbose=False)
    index = DatasetIndex.open(real_metadata, "v1.0-mini")
    annotations = AnnotationIndex.open(index, load_taxonomy("nuscenes"))
    theirs = {}
    for annotation in devkit.sample_annotation:
        velocity = devkit.box_velocity(annotation["token"])
        theirs[(annotation["sample_token"], annotation["instance_token"])] = velocity[:2]
    assert len(annotations) == len(theirs) == 4514
    unknown = 0
    for sample in range(81):
        for row in annotations.of_sample(sample):
            key = (index.sample_token(sample), annotations.instance_token(int(annotations.instance[row])))
            np.testing.assert_allclose(annotations.boxes[row, 7:], theirs[key], atol=1e-6)
            unknown += bool(np.isnan(annotations.boxes[row, 7]))
    assert unknown == sum(np.isnan(v[0]) for v in theirs.values())


def test_object_seen_once_has_no_velocity(tiny: Path) -> None:
    index = DatasetIndex.open(tiny, VERSION)
    labels = AnnotationIndex.open(index, load_taxonomy("nuscenes")).labels(int(index.moments(keyframes_only=True)[2]))
    barrier = labels.class_index == CLASSES.index("barrier")
    assert int(barrier.sum()) == 1
    assert labels.boxes[barrier, 7:].isnan().all()


@pytest.mark.parametrize(("recording", "boxes"), [("real_keyframe", 68), ("real_metadata", 53)])
def test_real_boxes_hold_their_stored_number_of_points(
    recording: str, boxes: int, request: pytest.FixtureRequest
) -> None:
    """The vehicle is tilted by 1.5 degrees: in a frame that tilts with it, 62 of the 68 would."""
    index = DatasetIndex.open(request.getfixturevalue(recording), "v1.0-mini")
    annotations = AnnotationIndex.open(index, load_taxonomy("nuscenes"))
    moment = next(m for m in index.moments(keyframes_only=True) if index.file(int(index.moment_record[m])).exists())
    sample = load_samples(MomentFiles(index), int(moment), (SensorInputs(lidar=LidarSweeps(1)),))[0]
    assert sample.lidar is not None
    labels = annotations.labels(int(moment))
    counted = points_in_boxes(sample.lidar[:, :3], labels.boxes).sum(1)
    assert counted.tolist() == labels.lidar_points.tolist()
    assert len(labels) == boxes


def test_real_boxes_survive_the_way_to_the_level_frame_and_back(real_metadata: Path) -> None:
    """So do the official scores: what is scored is brought back into the global frame."""
    index = DatasetIndex.open(real_metadata, "v1.0-mini")
    annotations = AnnotationIndex.open(index, load_taxonomy("nuscenes"))
    for moment in index.moments(keyframes_only=True):
        record = int(index.moment_record[moment])
        labels = annotations.labels(int(moment))
        again = transform_boxes(index.global_from_level(record), labels.boxes.double()).numpy()
        rows = np.asarray(annotations.of_sample(int(index.record_sample[record])))
        rows = rows[annotations.class_index[rows] >= 0]
        turn = (again[:, 6] - annotations.boxes[rows, 6] + np.pi) % (2 * np.pi) - np.pi
        assert np.abs(turn).max(initial=0) < 1e-6
        np.testing.assert_allclose(again[:, :6], annotations.boxes[rows, :6], atol=1e-4)
        np.testing.assert_allclose(again[:, 7:], annotations.boxes[rows, 7:], atol=1e-5)


def test_real_boxes_fall_on_the_pixels_where_the_devkit_draws_them(real_keyframe: Path) -> None:
    devkit = NuScenes("v1.0-mini", str(real_keyframe), verbose=False)
    index = DatasetIndex.open(real_keyframe, "v1.0-mini")
    annotations = AnnotationIndex.open(index, load_taxonomy("nuscenes"))
    centres = annotations.labels(0).boxes[:, :3]
    tracks = annotations.labels(0).track_ids.tolist()
    row_of = {annotations.instance_token(track): row for row, track in enumerate(tracks)}
    sample = load_samples(MomentFiles(index), 0, (SensorInputs(camera=ImageTransform(900, 1600)),))[0]
    assert sample.cameras is not None
    # corners of the boxes where they are upright: in the global frame
    corners = apply(inverse(sample.global_from_level), box_corners(torch.from_numpy(annotations.boxes.copy())))
    drawn = 0
    for channel, intrinsic, bev_from_camera in zip(
        sample.cameras.channels, sample.cameras.intrinsics, sample.cameras.bev_from_camera, strict=True
    ):
        camera_from_bev = inverse(bev_from_camera.double())
        _, boxes, matrix = devkit.get_sample_data(devkit.sample[0]["data"][channel])
        for box in boxes:
            if (box.corners()[2] < 1.0).any():
                continue
            row = row_of[devkit.get("sample_annotation", box.token)["instance_token"]]
            ours = apply(camera_from_bev, torch.cat((corners[row], centres[row, None].double()))) @ intrinsic.double().T
            ours = ours[:, :2] / ours[:, 2:]
            theirs = view_points(np.column_stack((box.corners(), box.center)), np.array(matrix), normalize=True)[:2].T
            # the same eight corners, in whatever order, and the same centre
            distance = torch.cdist(ours[:8], torch.from_numpy(theirs[:8]))
            assert float(distance.min(1).values.max()) < 0.05
            np.testing.assert_allclose(ours[8], theirs[8], atol=0.05)
            drawn += 1
    assert drawn >= 60


@pytest.mark.parametrize(
    ("table", "link"),
    [
        ("sample_annotation", "sample_token"),
        ("sample_annotation", "instance_token"),
        ("sample_annotation", "prev"),
        ("sample_annotation", "next"),
        ("instance", "category_token"),
    ],
)
def test_dangling_token_names_table_and_record(copy: Path, table: str, link: str) -> None:
    edit(copy, table, lambda rows: [rows[0] | {link: "nowhere"}, *rows[1:]])
    token = json.loads((copy / VERSION / f"{table}.json").read_text())[0]["token"]
    with pytest.raises(UserError, match=f"{table}.json.*{token}.*{link}"):
        AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": [1, 0, 1]}, "no box"),
        ({"size": [1, 1e300, 1]}, "no box"),
        ({"rotation": [0, 0, 0, 0]}, "no box"),
        ({"rotation": [1e300, 0, 0, 0]}, "no box"),
        ({"translation": [1e300, 0, 0]}, "no place on earth"),
        ({"translation": [1, 2]}, "'translation' is a list of 2, three finite numbers"),
    ],
)
def test_box_that_is_none(copy: Path, change: dict, words: str) -> None:
    edit(copy, "sample_annotation", lambda rows: [rows[0] | change, *rows[1:]])
    with pytest.raises(UserError, match=rf"sample_annotation.json.*box-0-0-0.*{words}"):
        AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes"))


def test_attributes(copy: Path) -> None:
    edit(copy, "attribute", lambda rows: [*rows, {"token": "attribute1", "name": "vehicle.parked"}])
    edit(copy, "sample_annotation", lambda rows: [rows[0] | {"attribute_tokens": ["attribute1"]}, *rows[1:]])
    annotations = AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes"))
    assert annotations.attributes == ("vehicle.moving", "vehicle.parked")
    assert annotations.attribute.tolist().count(1) == 1
    car = annotations.instance_token(int(annotations.instance[annotations.attribute.tolist().index(1)]))
    assert car == "instance-0-0"
    (copy / VERSION / "attribute.json").unlink()
    assert set(
        AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes")).attribute.tolist()
    ) == {-1}


@pytest.mark.parametrize("change", [{"num_lidar_pts": None}, {"num_lidar_pts": -1}])
def test_number_of_points_that_is_not_known(copy: Path, change: dict) -> None:
    edit(copy, "sample_annotation", lambda rows: [row | change for row in rows])
    assert set(
        AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes")).lidar_points.tolist()
    ) == {-1}


def test_keyframes_and_boxes_are_told_with_scene_time_and_object(tiny: Path) -> None:
    dataset = open_dataset(tiny, VERSION)
    tables = {name: json.loads((tiny / VERSION / f"{name}.json").read_text()) for name in (
        "scene", "sample", "sample_annotation",
    )}  # fmt: skip
    scene_name = {row["token"]: row["name"] for row in tables["scene"]}
    samples = {row["token"]: row for row in tables["sample"]}
    scene = dataset.scene_names[-1]
    annotated = dataset.annotated_keyframes([scene])
    assert set(annotated.tokens) == {token for token, row in samples.items() if scene_name[row["scene_token"]] == scene}
    assert annotated.time.tolist() == sorted(samples[token]["timestamp"] for token in annotated.tokens)
    assert [samples[token]["timestamp"] for token in annotated.tokens] == annotated.time.tolist()
    assert {annotated.scenes[number] for number in annotated.scene} == {scene}
    told = {
        (annotated.tokens[keyframe], dataset.track_name(int(track)), tuple(box))
        for keyframe, track, box in zip(
            annotated.keyframe, annotated.track, annotated.boxes[:, :3].tolist(), strict=True
        )
    }
    assert told == {
        (row["sample_token"], row["instance_token"], tuple(row["translation"]))
        for row in tables["sample_annotation"]
        if row["sample_token"] in annotated.tokens
    }


def test_dataset_without_boxes(copy: Path) -> None:
    for table in ("sample_annotation", "instance"):
        (copy / VERSION / f"{table}.json").write_text("[]")
    index = DatasetIndex.open(copy, VERSION)
    labels = AnnotationIndex.open(index, load_taxonomy("nuscenes")).labels(0)
    assert labels.boxes.shape == (0, 9)
    assert len(labels) == 0


def test_dataset_without_annotation_table(copy: Path) -> None:
    (copy / VERSION / "sample_annotation.json").unlink()
    with pytest.raises(UserError, match=r"sample_annotation.json: the table is missing"):
        AnnotationIndex.open(DatasetIndex.open(copy, VERSION), load_taxonomy("nuscenes"))
