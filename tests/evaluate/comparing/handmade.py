"""Annotated keyframes and detections that are written by hand."""

from dataclasses import dataclass

import numpy as np

from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import ClassGroup, Taxonomy
from avjepa.evaluate.detection.box_table import BoxTable

CARS_AND_CONES = Taxonomy(
    ("car", "cone"), {"car": "car", "cone": "cone"}, (ClassGroup(("car", "cone"), 1.0),), {"car": 50.0, "cone": 30.0},
    {}, 1.0, without_velocity=("cone",),
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A box: where it is in front of the vehicle (m), and what is known of it."""

    keyframe: int
    x: float
    kind: int = 0
    points: int = 10
    visibility: int = 4
    speed: float = 0.0
    length: float = 4.0
    score: float = -1.0


def annotated(things: list[Thing], keyframes_of_scene: tuple[int, ...]) -> AnnotatedKeyframes:
    """Scenes of so many keyframes each, in which the vehicle stands at the origin."""
    count = sum(keyframes_of_scene)
    boxes = [[thing.x, 0, 0.5, thing.length, 1.8, 1.5, 0, thing.speed, 0] for thing in things]
    kind, points, visibility, keyframe = (
        np.array([getattr(thing, name) for thing in things], np.int64)
        for name in ("kind", "points", "visibility", "keyframe")
    )
    return AnnotatedKeyframes(
        tokens=tuple(f"keyframe {number}" for number in range(count)),
        time=np.arange(count) * 500_000,
        scene=np.repeat(np.arange(len(keyframes_of_scene)), keyframes_of_scene),
        scenes=tuple(f"scene {number}" for number in range(len(keyframes_of_scene))),
        vehicle=np.zeros((count, 2)),
        keyframe=keyframe,
        boxes=np.array(boxes, float).reshape(-1, 9),
        class_index=kind,
        category=kind,
        categories=("car", "cone"),
        attribute=np.full(len(things), -1),
        attributes=None,
        lidar_points=points,
        radar_points=np.zeros(len(things), np.int64),
        visibility=visibility,
        track=np.arange(len(things)),
    )


def detected(things: list[Thing]) -> BoxTable:
    """Detections, in the order of their file."""
    ordered = sorted(things, key=lambda thing: thing.keyframe)
    return BoxTable(
        sample=np.array([thing.keyframe for thing in ordered], np.int64),
        class_index=np.array([thing.kind for thing in ordered], np.int64),
        translation=np.array([[thing.x, 0, 0.5] for thing in ordered], float).reshape(-1, 3),
        size=np.array([[1.8, thing.length, 1.5] for thing in ordered], float).reshape(-1, 3),
        yaw=np.zeros(len(ordered)),
        velocity=np.array([[thing.speed, 0] for thing in ordered], float).reshape(-1, 2),
        attribute=np.full(len(ordered), -1),
        score=np.array([thing.score for thing in ordered], float),
    )


def random_things(seed: int, scenes: int, found: float = 0.8, false: int = 40) -> tuple[list[Thing], list[Thing]]:
    """Cars and cones of two keyframes a scene, and detections of a share ``found`` of them among false ones."""
    rng = np.random.default_rng(0)
    truth = [
        Thing(int(rng.integers(0, 2 * scenes)), float(x), int(rng.integers(0, 2)), int(rng.integers(1, 200)))
        for x in rng.uniform(-50, 50, 30 * scenes)
    ]
    own = np.random.default_rng(seed)
    hits = [
        Thing(one.keyframe, one.x + own.normal() * 0.4, one.kind, score=float(own.uniform(0.3, 1)))
        for one in truth
        if own.random() < found
    ]
    misses = [
        Thing(int(own.integers(0, 2 * scenes)), float(x), int(own.integers(0, 2)), score=float(own.uniform(0, 0.7)))
        for x in own.uniform(-50, 50, false * scenes)
    ]
    return truth, hits + misses
