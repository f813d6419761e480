"""Conventions that a data set may break, each planted in a sound street: its check says so, and no other one does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels
from avjepa.data.inspection.check import Check
from avjepa.data.inspection.inspect_labels import inspect_labels
from avjepa.data.inspection.ranges import Reach
from avjepa.data.inspection.rendering import rendered_checks
from avjepa.data.labels import Labels
from avjepa.data.moment import Moment
from avjepa.data.nuscenes.dataset import NuScenesDataset
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.protocol import AnnotatedKeyframes, BoxSummary
from avjepa.data.taxonomy import Taxonomy, load_taxonomy
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import inverse
from tests.data.nuscenes.inspection.conftest import CARS, KEYFRAMES, SCENES, VERSION

REACH = Reach(BEVGrid(-51.2, 51.2, -51.2, 51.2, 0.8), (-3.0, 5.0))
Boxes = np.ndarray


@dataclass(frozen=True)
class Fault:
    """What is done to a sound data set; boxes are changed in the global frame, for training and scoring alike."""

    boxes: Callable[[Boxes], Boxes] = lambda boxes: boxes
    labels: Callable[[Labels], Labels] = lambda labels: labels
    annotated: Callable[["Street", AnnotatedKeyframes], AnnotatedKeyframes] = lambda street, annotated: annotated
    summary: Callable[[BoxSummary], BoxSummary] = lambda summary: summary
    cloud: Callable[[torch.Tensor], torch.Tensor] = lambda cloud: cloud
    seconds: float = 1.0


class Street(NuScenesDataset):
    """The street with a fault."""

    def __init__(self, index: DatasetIndex, taxonomy: Taxonomy, fault: Fault) -> None:
        super().__init__(index, taxonomy)
        self.fault = fault

    def labels(self, moment: int) -> Labels:
        labels = super().labels(moment)
        pose = self.global_from_level(moment)
        inside = transform_boxes(pose, labels.boxes.double()).numpy()
        boxes = transform_boxes(inverse(pose), torch.from_numpy(self.fault.boxes(inside.copy())))
        return self.fault.labels(replace(labels, boxes=boxes.float()))

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        annotated = super().annotated_keyframes(scenes)
        return self.fault.annotated(self, replace(annotated, boxes=self.fault.boxes(annotated.boxes.copy())))

    def boxes(self, moments: np.ndarray) -> BoxSummary:
        return self.fault.summary(super().boxes(moments))

    def read(self, moment: int, inputs: Any) -> Moment:
        read = super().read(moment, inputs)
        assert read.lidar is not None
        return replace(read, lidar=replace(read.lidar, points=self.fault.cloud(read.lidar.points.clone())))

    def time_of(self, moment: int) -> int:
        return round(super().time_of(moment) * self.fault.seconds)


def checks_of(
    root: Path, fault: Fault, channels: SensorChannels = NUSCENES_CHANNELS, taxonomy: Taxonomy | None = None
) -> dict[str, Check]:
    street = Street(DatasetIndex.open(root, VERSION, channels), taxonomy or load_taxonomy("nuscenes"), fault)
    return {check.name: check for check in inspect_labels(street, REACH)}


def verdicts(root: Path, fault: Fault, **options: Any) -> dict[str, str]:
    found = checks_of(root, fault, **options)
    return {name: " | ".join(check.verdicts) for name, check in found.items() if check.verdicts}


def swapped(boxes: Boxes) -> Boxes:
    boxes[:, [3, 4]] = boxes[:, [4, 3]]
    return boxes


def turned(degrees: float) -> Callable[[Boxes], Boxes]:
    def turn(boxes: Boxes) -> Boxes:
        boxes[:, 6] += np.radians(degrees)
        return boxes

    return turn


def raised(heights: float) -> Callable[[Boxes], Boxes]:
    def raise_(boxes: Boxes) -> Boxes:
        boxes[:, 2] += heights * boxes[:, 5]
        return boxes

    return raise_


def scaled_sizes(factor: float) -> Callable[[Boxes], Boxes]:
    def scale(boxes: Boxes) -> Boxes:
        boxes[:, 3:6] *= factor
        return boxes

    return scale


def mirrored(boxes: Boxes) -> Boxes:
    boxes[:, 6] = -boxes[:, 6]
    return boxes


def velocities(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Boxes], Boxes]:
    def changed(boxes: Boxes) -> Boxes:
        boxes[:, 7:9] = change(boxes[:, 7:9])
        return boxes

    return changed


def test_a_sound_street_gives_no_verdict(street: Path) -> None:
    found = checks_of(street, Fault())
    assert [check.verdicts for check in found.values()] == [()] * len(found)
    boxes = SCENES * KEYFRAMES * (CARS + 9)
    assert f"100 % of {boxes} boxes hold a LiDAR point" in found["points in boxes"].measured
    assert dict(row[:2] for row in found["points in boxes"].rows)["car"] == SCENES * KEYFRAMES * CARS
    assert "0° between heading and motion" in found["yaw against motion"].measured
    assert "0 % of the keyframes lack camera" in found["times"].measured
    assert "keyframes are 0.5 s apart (median), at most 0.5 s" in found["times"].measured


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        (Fault(swapped), "yaw against motion", "length and width seem swapped: store the side along the heading"),
        (Fault(turned(90)), "yaw against motion", "yaw seems to be a quarter of a turn off (90°"),
        (Fault(lambda boxes: swapped(turned(90)(boxes))), "yaw against motion", "and yaw follows the width"),
        (Fault(turned(180)), "yaw against motion", "drive backwards"),
        (Fault(mirrored), "yaw against motion", "headings do not follow the motion"),
        (Fault(raised(-0.5)), "centre of a box", "that of their bottom, on the ground, not of their middle: add half"),
        (Fault(raised(0.5)), "centre of a box", "that of their top, not of their middle: subtract half"),
        (Fault(scaled_sizes(3.28)), "sizes", "seem to be feet"),
        (Fault(scaled_sizes(0.4)), "sizes", "a car is 1.84 × 0.76 × 0.64 m (median)"),
        (Fault(velocities(lambda v: -v)), "velocities against motion", "point backwards: change their sign"),
        (Fault(velocities(lambda v: 3.6 * v)), "velocities against motion", "in another unit (3.60 times"),
        (Fault(velocities(lambda v: v[:, ::-1])), "velocities against motion", "x and y swapped"),
        (Fault(velocities(lambda v: np.nan * v)), "velocities against motion", "is unknown although their tracks"),
        (
            Fault(annotated=lambda street, all_: in_frame_of_the_vehicle(street, all_)),
            "velocities against motion", "seem to be in the frame of the vehicle",
        ),
        (
            Fault(annotated=lambda street, all_: relative_to_the_vehicle(all_)),
            "velocities against motion", "seem to be relative to the vehicle: add",
        ),
        (
            Fault(annotated=lambda street, all_: replace(all_, track=np.arange(len(all_.track)))),
            "velocities against motion", "must keep its track identity",
        ),
        (
            Fault(summary=lambda all_: replace(all_, lidar_points=0 * all_.lidar_points - 1)),
            "points in boxes", "does not say how many points 100 % of the boxes hold",
        ),
        (
            Fault(summary=lambda all_: replace(all_, lidar_points=0 * all_.lidar_points)),
            "points in boxes", "says that no box holds a point, and 100 % do",
        ),
        (
            Fault(labels=lambda labels: replace(labels, boxes=labels.boxes + torch.tensor([0, 3.0, *[0] * 7]))),
            "taught and scored boxes", "100 % of the boxes are taught elsewhere",
        ),
        (
            Fault(annotated=lambda street, all_: replace(all_, tokens=tuple(f"k-{one}" for one in all_.tokens))),
            "taught and scored boxes", "must give a keyframe the same name",
        ),
        (Fault(seconds=1e-3), "times", "keyframes are 0.0005 s apart: times are in microseconds"),
        (Fault(cloud=lambda cloud: lagging(cloud, 0.4)), "times", "LiDAR points are 0.40 s off"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_named(street: Path, fault: Fault, check: str, said: str) -> None:
    found = verdicts(street, fault)
    assert said in found[check]
    others = found.keys() - {check}
    # boxes that were moved, turned or shrunk do hold fewer points, and velocities need tracks and names
    assert others <= {"points in boxes", "centre of a box", "taught and scored boxes"}, found


def in_frame_of_the_vehicle(street: Street, annotated: AnnotatedKeyframes) -> AnnotatedKeyframes:
    heading = np.zeros(len(annotated.tokens))
    for moment in street.moments(keyframes_only=True).tolist():
        pose = street.global_from_level(moment)
        heading[annotated.tokens.index(street.token_of(moment))] = np.arctan2(float(pose[1, 0]), float(pose[0, 0]))
    turn = heading[annotated.keyframe]
    x, y = annotated.boxes[:, 7:9].T.copy()
    boxes = annotated.boxes.copy()
    boxes[:, 7] = np.cos(turn) * x + np.sin(turn) * y
    boxes[:, 8] = np.cos(turn) * y - np.sin(turn) * x
    return replace(annotated, boxes=boxes)


def relative_to_the_vehicle(annotated: AnnotatedKeyframes) -> AnnotatedKeyframes:
    motion = np.gradient(annotated.vehicle.reshape(SCENES, KEYFRAMES, 2), 0.5, axis=1).reshape(-1, 2)
    boxes = annotated.boxes.copy()
    boxes[:, 7:9] -= motion[annotated.keyframe]
    return replace(annotated, boxes=boxes)


def lagging(cloud: torch.Tensor, seconds: float) -> torch.Tensor:
    cloud[0, 4] = seconds
    return cloud


def test_clouds_in_the_frame_of_the_sensor(street: Path) -> None:
    found = verdicts(street, Fault(cloud=lambda cloud: cloud - torch.tensor([0.9, 0, 1.8, 0, 0, 0])))
    assert "the ground seems to be at -1.90 m" in found["points against the height range"]


def test_clouds_of_another_place(street: Path) -> None:
    found = verdicts(street, Fault(cloud=lambda cloud: cloud + torch.tensor([100.0, 0, 0, 0, 0, 0])))
    assert "boxes and clouds are in different frames or units" in found["points in boxes"]


def test_points_far_above_and_below_all_voxels(street: Path) -> None:
    def tall(cloud: torch.Tensor) -> torch.Tensor:
        cloud[1::4, 2] += 7.0
        cloud[2::8, 2] -= 9.0
        return cloud

    found = verdicts(street, Fault(cloud=tall))
    assert "the points lie outside of the heights -3 to 5 m" in found["points against the height range"]


def test_categories_that_no_class_knows(street: Path) -> None:
    known = load_taxonomy("nuscenes")
    without_cars = replace(
        known, categories={"auto" if k == "vehicle.car" else k: v for k, v in known.categories.items()}
    )
    found = verdicts(street, Fault(), taxonomy=without_cars)
    assert "47 % of the boxes are of categories that the taxonomy does not know" in found["class map"]
    assert f"vehicle.car ({SCENES * KEYFRAMES * CARS})" in found["class map"] and "--taxonomy" in found["class map"]


def test_boxes_beyond_the_grid_and_beyond_their_ranges(street: Path) -> None:
    small = Reach(BEVGrid(-16.0, 16.0, -16.0, 16.0, 0.8), (-3.0, 5.0))
    opened = Street(DatasetIndex.open(street, VERSION, NUSCENES_CHANNELS), load_taxonomy("nuscenes"), Fault())
    (found,) = [check for check in inspect_labels(opened, small, keyframes=0) if check.name == "boxes against the grid"]
    assert "lie beyond the grid and can be neither taught nor found" in found.verdicts[0]
    known = load_taxonomy("nuscenes")
    near = replace(known, ranges=dict.fromkeys(known.classes, 5.0))
    assert "are not scored: set 'ranges'" in verdicts(street, Fault(), taxonomy=near)["boxes against the grid"]


def test_a_sensor_that_few_keyframes_have(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        NuScenesDataset, "recorded", lambda self, sensor: np.arange(len(self)) % 2 == (sensor == "camera")
    )
    assert "50 % of the keyframes lack camera" in verdicts(street, Fault())["times"]


def test_verdicts_are_printed_with_the_table_of_their_check(street: Path) -> None:
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(rendered_checks(tuple(checks_of(street, Fault(scaled_sizes(3.28))).values())))
    text = capture.get()
    assert "1 thing off" in text and "✗ sizes" in text and "4.6 × 1.95 × 1.7" in text
