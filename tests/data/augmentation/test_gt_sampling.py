"""Objects of the chosen scenes pasted into their samples; in the tests' world every point says whose it is."""

import itertools
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from pyquaternion import Quaternion
from torch import Tensor

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.augmentation.gt_sampling import CENTERPOINT_OBJECTS, GTSampling
from avjepa.data.datasets import open_dataset
from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS, write_lidar, write_radar
from avjepa.data.labels import Labels
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import BadFileError, UserError
from avjepa.geometry.boxes import points_in_boxes

from ...geometry.test_overlap import rectangle
from ..conftest import SENSORS, VERSION, build, ego_pose, to_sensor
from ..loading.test_datamodule import detection

CLASSES = load_taxonomy("nuscenes").classes

CLUTTER, OWN, OTHER = 100, 10, 200
"""Intensity of what stands around, of the first scene's objects, of the second scene's objects."""
INTENSITY, RCS = LIDAR_FIELDS.index("intensity"), RADAR_FIELDS.index("rcs")
OBJECTS = {"car": 4, "pedestrian": 3, "barrier": 2}
ANYWHERE = GTSampling(OBJECTS, minimum_points=3, turn=math.pi, stop_fraction=0.0)


def _objects(scene: int) -> list[dict[str, Any]]:
    """Translation, size, yaw, keyframe and velocity of the annotated objects: what ``conftest`` writes down."""
    found = []
    for number, frames in enumerate(([0, 1, 2, 3], [0, 1, 3], [2])):
        for k in frames:
            centre = np.array([310.0 + 3 * number + 1.5 * k, 1010.0 - 4 * number, 0.9])
            found.append({"centre": centre, "yaw": 0.7 * number, "keyframe": k, "scene": scene, "number": number})
    return found


def _points_on(one: dict[str, Any], count: int) -> np.ndarray:
    random = np.random.default_rng((one["scene"], one["number"], one["keyframe"]))
    local = random.uniform(-0.4, 0.4, (count, 3)) * np.array([4.4, 1.8, 1.5])
    turned: np.ndarray = local @ Quaternion(axis=[0, 0, 1], radians=one["yaw"]).rotation_matrix.T + one["centre"]
    return turned


def _lidar(scene: int, keyframe: int) -> np.ndarray:
    seconds = keyframe / 2
    side = np.arange(-24, 24, 0.4)
    position, heading = ego_pose(seconds)
    flat = np.stack([*np.meshgrid(side, side), np.full((len(side), len(side)), 0.6)], -1).reshape(-1, 3)
    clouds = [np.concatenate((flat @ heading.rotation_matrix.T + position, np.full((len(flat), 1), CLUTTER)), 1)]
    for one in _objects(scene):
        if one["keyframe"] == keyframe:
            marker = np.full((12 + one["number"], 1), (OWN, OTHER)[scene])
            clouds.append(np.concatenate((_points_on(one, len(marker)), marker), 1))
    cloud = np.concatenate(clouds)
    own = to_sensor(cloud[:, :3], seconds, "LIDAR_TOP")
    return np.concatenate((own, cloud[:, 3:], np.zeros((len(own), 1))), 1).astype(np.float32)


def _radar(scene: int, keyframe: int) -> np.ndarray:
    seconds = keyframe / 2 + 0.013
    returns = []
    _, heading = ego_pose(seconds)
    rotation = (heading * SENSORS["RADAR_FRONT"][2]).rotation_matrix
    for one in _objects(scene):
        if one["keyframe"] == keyframe:
            rows = np.zeros((4, 18), np.float32)
            rows[:, :3] = to_sensor(_points_on(one, 4), seconds, "RADAR_FRONT")
            rows[:, RADAR_FILE_FIELDS.index("rcs")] = (OWN, OTHER)[scene]
            velocity = np.array([3.0, 0.0, 0.0]) @ rotation  # 1.5 m in half a second
            rows[:, [RADAR_FILE_FIELDS.index("vx_comp"), RADAR_FILE_FIELDS.index("vy_comp")]] = velocity[:2]
            returns.append(rows)
    return np.concatenate([*returns, np.zeros((1, 18), np.float32)])


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes full of clutter; the points of an object carry the marker of its scene."""
    root = build(tmp_path_factory.mktemp("marked") / "data", ("LIDAR_TOP", "RADAR_FRONT", "CAM_FRONT"))
    for scene, keyframe in itertools.product(range(2), range(4)):
        place = root / "samples"
        write_lidar(place / f"LIDAR_TOP/data-{scene}-LIDAR_TOP-{5 * keyframe}.pcd.bin", _lidar(scene, keyframe))
        write_radar(place / f"RADAR_FRONT/data-{scene}-RADAR_FRONT-{5 * keyframe}.pcd", _radar(scene, keyframe))
    table = root / VERSION / "sample_annotation.json"
    rows = json.loads(table.read_text())
    table.write_text(json.dumps([row | {"num_lidar_pts": 12, "num_radar_pts": 4} for row in rows]))
    splits = {"train": ["scene-0000", "scene-0001"], "val": ["scene-0001"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    return root


def module(root: Path, gt_sampling: GTSampling | None = ANYWHERE, **options: Any) -> DetectionDataModule:
    defaults: dict[str, Any] = {"scenes": ["scene-0000"], "lidar_sweeps": 1, "radar_sweeps": 1, "batch_size": 2}
    return detection(root, gt_sampling=gt_sampling, **(defaults | options))


def pasted(labels: Labels) -> Tensor:
    """Which boxes were pasted."""
    return labels.track_ids < 0


def scenes_of(labels: Labels) -> set[int]:
    """Scenes that the objects are of: each has four, numbered from its own times four."""
    return set((torch.where(pasted(labels), ~labels.track_ids, labels.track_ids) // 4).tolist())


def keyframes_of(root: Path, found: list[Any]) -> set[str]:
    """Keyframes of the first scene that pasted objects are of: a turn leaves an object's class and distance."""
    dataset = open_dataset(root, VERSION)
    known = {}
    for moment in dataset.moments(["scene-0000"], keyframes_only=True):
        known |= dict.fromkeys(_classes_and_distances(dataset.labels(int(moment))), dataset.token_of(int(moment)))
    return {known[key] for _, _, labels in found for key in _classes_and_distances(labels.selected(pasted(labels)))}


def _classes_and_distances(labels: Labels) -> list[tuple[int, float]]:
    distances = [round(distance, 2) for distance in labels.boxes[:, :2].norm(dim=1).tolist()]
    return list(zip(labels.class_index.tolist(), distances, strict=True))


def carries(lidar: Tensor, marker: int) -> Tensor:
    """Which points do."""
    return (255 * lidar[:, INTENSITY]).round() == marker


def samples(batch: Batch) -> list[tuple[Tensor, Tensor, Labels]]:
    """LiDAR, radar, labels of each sample."""
    assert batch.labels is not None
    result = []
    for place, labels in enumerate(batch.labels):
        clouds = [
            torch.zeros(0, 6) if cloud is None else cloud.features[cloud.batch_index == place]
            for cloud in (batch.lidar, batch.radar)
        ]
        result.append((clouds[0], clouds[1], labels))
    return result


def train(root: Path, gt_sampling: GTSampling | None = ANYWHERE, **options: Any) -> list[Any]:
    loader = module(root, gt_sampling, **({"steps": 12, "sensors": ["lidar", "radar"]} | options)).train_dataloader()
    return [sample for batch in loader for sample in samples(batch)]


def test_nothing_of_a_scene_outside_of_the_subset_can_appear(marked: Path) -> None:
    found = train(marked)
    for lidar, radar, labels in found:
        assert not carries(lidar, OTHER).any()
        assert not (radar[:, RCS] == OTHER).any()
        assert scenes_of(labels) == {0}
    assert sum(int(pasted(labels).sum()) for _, _, labels in found) > 40


def test_with_both_scenes_their_objects_mix(marked: Path) -> None:
    mixed = 0
    for lidar, radar, labels in train(marked, scenes=None):
        scenes = scenes_of(labels)
        mixed += len(scenes) == 2
        assert carries(lidar, OTHER).any() == (1 in scenes)
        assert (radar[:, RCS] == OTHER).any() == (1 in scenes)
    assert mixed > 5


@pytest.mark.parametrize("turn", [0.0, math.pi])
@pytest.mark.parametrize("augmentation", [None, BEVAugmentation(rotation=1.0, scale=(0.9, 1.1), translation=0.3)])
def test_a_pasted_box_holds_its_own_points_and_no_others(
    marked: Path, turn: float, augmentation: BEVAugmentation | None
) -> None:
    boxes = 0
    for lidar, radar, labels in train(marked, GTSampling(OBJECTS, 3, turn, 0.0), augmentation=augmentation):
        chosen = labels.selected(pasted(labels))
        boxes += len(chosen)
        for cloud, counts in ((lidar, chosen.lidar_points), (radar, chosen.radar_points)):
            for scale, compared in ((1 - 1e-4, torch.le), (1 + 1e-4, torch.ge)):  # a point may lie on a face
                assert compared(points_in_boxes(cloud[:, :3], chosen.boxes, scale).sum(1), counts).all()
        marker = points_in_boxes(lidar[:, :3], chosen.boxes) & carries(lidar, OWN)
        number = ~chosen.track_ids % 4
        assert torch.equal(marker.sum(1), 12 + number)
        assert (chosen.radar_points == 4).all()
    assert boxes > 10


def test_without_a_turn_objects_are_where_they_were_seen(marked: Path) -> None:
    originals = torch.stack([box for _, _, labels in train(marked, None) for box in labels.boxes])
    for _, _, labels in train(marked, GTSampling(OBJECTS, 3, 0.0, 0.0)):
        for box in labels.boxes[pasted(labels)]:
            assert (originals[:, :7] == box[:7]).all(1).any()


def test_a_turned_object_keeps_its_distance_and_moves_where_its_radar_returns_say(marked: Path) -> None:
    originals = torch.stack([box for _, _, labels in train(marked, None) for box in labels.boxes])
    distances = originals[:, :2].norm(dim=1)
    bearings = []
    for _, radar, labels in train(marked):
        for box in labels.boxes[pasted(labels)]:
            assert (distances - box[:2].norm()).abs().min() < 1e-4
            bearings.append(math.atan2(box[1], box[0]))
            if box[7:9].isfinite().all():
                inside = points_in_boxes(radar[:, :3], box[None])[0]
                velocity = radar[inside][:, [RADAR_FIELDS.index("vx_comp"), RADAR_FIELDS.index("vy_comp")]]
                torch.testing.assert_close(velocity, box[7:9].expand(len(velocity), 2), atol=0.15, rtol=0)
    assert np.std(bearings) > 1.0


def test_boxes_do_not_overlap_and_classes_are_not_overfilled(marked: Path) -> None:
    reached = 0
    for (_, _, labels), (_, _, before) in zip(train(marked), train(marked, None), strict=True):
        rectangles = [rectangle(box) for box in labels.boxes]
        for place in pasted(labels).nonzero()[:, 0].tolist():
            others = [other for number, other in enumerate(rectangles) if number != place]
            assert all(rectangles[place].intersection(other).area < 1e-3 for other in others)
        for name, target in OBJECTS.items():
            count = int((labels.class_index == CLASSES.index(name)).sum())
            present = int((before.class_index == CLASSES.index(name)).sum())
            assert present <= count <= max(present, target)
            reached += count == target
        assert torch.equal(labels.boxes[~pasted(labels)].nan_to_num(), before.boxes.nan_to_num())
    assert reached > 10


def test_objects_with_too_few_points_are_not_pasted(marked: Path) -> None:
    # with the radar's returns a car has 16 points and more, a barrier at least 18
    gt_sampling = GTSampling({"car": 4, "barrier": 4}, minimum_points=13, turn=math.pi, stop_fraction=0.0)
    assert not any(pasted(labels).any() for _, _, labels in train(marked, gt_sampling, sensors=["lidar"]))
    assert any(pasted(labels).any() for _, _, labels in train(marked, gt_sampling))


def test_radar_alone(marked: Path) -> None:
    found = train(marked, sensors=["radar"])
    assert all((labels.lidar_points[pasted(labels)] == 0).all() for _, _, labels in found)
    assert sum(int((radar[:, RCS] == OWN).sum()) for _, radar, _ in found) > 4 * sum(
        int((~pasted(labels)).sum()) for _, _, labels in found
    )


def equal(one: list[Any], other: list[Any]) -> bool:
    return all(
        torch.equal(a[0], b[0])
        and torch.equal(a[1], b[1])
        and torch.equal(a[2].boxes.nan_to_num(), b[2].boxes.nan_to_num())
        and torch.equal(a[2].track_ids, b[2].track_ids)
        for a, b in zip(one, other, strict=True)
    )


def test_the_last_share_of_the_training_is_clean(marked: Path) -> None:
    half = GTSampling(OBJECTS, 3, math.pi, stop_fraction=0.3)
    options = {"steps": 10, "augmentation": BEVAugmentation(), "batch_size": 4}
    with_objects, plain = train(marked, half, **options), train(marked, None, **options)
    assert equal(with_objects[28:], plain[28:]), "batches 7 to 9"
    for batch in range(7):
        own = with_objects[4 * batch : 4 * batch + 4]
        assert any(pasted(labels).any() for _, _, labels in own), f"batch {batch}"
    never = train(marked, GTSampling(OBJECTS, 3, math.pi, stop_fraction=1.0), **options)
    assert equal(never, plain)


def test_going_on_after_an_interruption_in_other_processes(marked: Path) -> None:
    gt_sampling = GTSampling(OBJECTS, 3, math.pi, stop_fraction=0.2)
    options: dict[str, Any] = {"steps": 9, "augmentation": BEVAugmentation(), "class_balanced": True}
    whole = list(module(marked, gt_sampling, **options).train_dataloader())
    interrupted = module(marked, gt_sampling, **options)
    head = list(itertools.islice(interrupted.train_dataloader(), 4))
    resumed = module(marked, gt_sampling, **options, workers=2)
    resumed.load_state_dict(interrupted.state_dict())
    tail = list(resumed.train_dataloader())
    one, other = ([s for batch in batches for s in samples(batch)] for batches in (whole, head + tail))
    assert equal(one, other)
    assert any(pasted(labels).any() for batch in tail for _, _, labels in samples(batch))


def test_evaluation_sees_scenes_as_they_are(marked: Path) -> None:
    for batch in module(marked, validation_split="val").val_dataloader():
        assert not any(pasted(labels).any() for _, _, labels in samples(batch))


def test_a_bad_file_takes_its_objects_with_it(marked: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(marked, root, ignore=shutil.ignore_patterns(".avjepa-*"))
    (root / "samples/LIDAR_TOP/data-0-LIDAR_TOP-10.pcd.bin").unlink()
    with pytest.raises(BadFileError):
        train(root)
    found = train(root, on_bad_file="skip", steps=20)
    assert keyframes_of(root, found) == {"sample-0-0", "sample-0-1", "sample-0-3"}


def test_pictures_cannot_be_pasted_into(marked: Path) -> None:
    with pytest.raises(UserError, match="pictures") as caught:
        module(marked, sensors=["lidar", "camera"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"per_class": {"car": -1}}, {"minimum_points": 0}, {"turn": -0.1}, {"turn": 3.2},
        {"stop_fraction": 1.1}, {"stop_fraction": -0.1}, {"objects_per_class": 0},
    ],
)  # fmt: skip
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="gt_sampling"):
        GTSampling(**options)


def test_a_class_that_the_taxonomy_does_not_have_is_refused(marked: Path) -> None:
    with pytest.raises(UserError, match=r"gt_sampling\.per_class: unknown class 'tram'; choose from car, truck"):
        module(marked, GTSampling({"tram": 2}))


def test_options_come_from_yaml(marked: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(DetectionDataModule, "data")

    def built(gt_sampling: Any) -> DetectionDataModule:
        config = parser.parse_object(
            {"data": {"dataroot": str(marked), "version": VERSION, "gt_sampling": gt_sampling}}
        )
        data: DetectionDataModule = parser.instantiate_classes(config).data
        return data

    assert built(None).gt_sampling is None
    assert built({}).gt_sampling == GTSampling(CENTERPOINT_OBJECTS)
    assert built({"per_class": {"car": 3}, "turn": 0.5}).gt_sampling == GTSampling({"car": 3}, turn=0.5)


def test_few_objects_are_kept_where_there_are_many(marked: Path) -> None:
    few = GTSampling({"car": 4}, 3, math.pi, 0.0, objects_per_class=2)
    # of the car's four keyframes the first and the last
    assert keyframes_of(marked, train(marked, few)) == {"sample-0-0", "sample-0-3"}
