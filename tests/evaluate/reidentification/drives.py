"""Annotated keyframes that are written out by hand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import ClassGroup, Taxonomy

TWO_CLASSES = Taxonomy(
    ("car", "pedestrian"), {"vehicle.car": "car", "human": "pedestrian"},
    (ClassGroup(("car", "pedestrian"), 2.0),), {"car": 50.0, "pedestrian": 40.0}, {}, 1.0,
)  # fmt: skip
CATEGORIES = ("human", "stroller", "vehicle.car")


@dataclass(frozen=True)
class Seen:
    """A box of an object at a keyframe."""

    points: int = 10
    x: float = 0.0
    y: float = 0.0
    visibility: int = 4
    size: tuple[float, float, float] = (4.0, 2.0, 1.5)
    velocity: tuple[float, float] = (math.nan, math.nan)


def drive(
    objects: Mapping[int, Mapping[int, Seen]],
    categories: Mapping[int, str] | None = None,
    scene_lengths: Sequence[int] = (20,),
) -> AnnotatedKeyframes:
    """Keyframes half a second apart, ``k0``, ``k1`` ...; the vehicle stands in the origin.

    Args:
        objects: by track, then by keyframe.
        categories: by track; cars by default.
        scene_lengths: keyframes of each scene.
    """
    boxes = [(keyframe, track, seen) for track, at in objects.items() for keyframe, seen in at.items()]
    boxes.sort(key=lambda box: box[0])
    category = [CATEGORIES.index((categories or {}).get(track, "vehicle.car")) for _, track, _ in boxes]
    total, nothing = sum(scene_lengths), np.zeros(len(boxes), np.int64)
    return AnnotatedKeyframes(
        tokens=tuple(f"k{number}" for number in range(total)),
        time=np.arange(total) * 500_000,
        scene=np.repeat(np.arange(len(scene_lengths)), scene_lengths),
        scenes=tuple(f"scene {number}" for number in range(len(scene_lengths))),
        vehicle=np.zeros((total, 2)),
        keyframe=np.array([keyframe for keyframe, _, _ in boxes], np.int64),
        boxes=np.array([(s.x, s.y, 0.5, *s.size, 0.0, *s.velocity) for _, _, s in boxes], float).reshape(-1, 9),
        class_index=np.array([(1, -1, 0)[number] for number in category], np.int64),
        category=np.array(category, np.int64),
        categories=CATEGORIES,
        attribute=nothing - 1,
        attributes=None,
        lidar_points=np.array([seen.points for _, _, seen in boxes], np.int64),
        radar_points=nothing,
        visibility=np.array([seen.visibility for _, _, seen in boxes], np.int64),
        track=np.array([track for _, track, _ in boxes], np.int64),
    )
