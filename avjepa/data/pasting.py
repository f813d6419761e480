"""Pasting of annotated objects into the clouds of other keyframes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.augment import RADAR_VELOCITY, moved_points
from avjepa.data.fields import CLASSES
from avjepa.data.objects import CutObject, ObjectDatabase
from avjepa.data.sample import Labels, Sample
from avjepa.errors import UserError
from avjepa.geometry.boxes import indices_in_boxes, transform_boxes
from avjepa.geometry.overlap import overlapping_from_above

CENTERPOINT_OBJECTS = {
    "car": 2, "truck": 3, "construction_vehicle": 7, "bus": 4, "trailer": 6,
    "barrier": 2, "motorcycle": 6, "bicycle": 6, "pedestrian": 2, "traffic_cone": 2,
}  # fmt: skip
"""Objects of each class that CenterPoint (Yin et al. 2021) wants in a nuScenes sample."""


@dataclass(frozen=True)
class GroundTruthPasting:
    """Fills samples up with objects of other keyframes (database sampling: SECOND, Yan et al., 2018).

    An object comes with the points in its box, its size and its velocity, and keeps its distance to the vehicle and the
    side that was seen, so that its points are as dense as they would be. It is left out if its box overlaps another
    one, seen from above. What the scene had inside of its box vanishes; what it would hide stays, as in SECOND.

    Args:
        per_class: for each class, how many objects a sample is filled up to; present ones with points count. Classes
            that are not named are not pasted.
        minimum_points: least number of points of a pasted object, LiDAR and radar together.
        turn: largest angle to either side, in radians, by which an object is moved about the vehicle's vertical axis; 0
            pastes it where it was seen, as SECOND does, and π anywhere at its distance.
        stop_fraction: share of the training's batches at the end in which nothing is pasted: the detector's last
            impression is of scenes as they are (the fade strategy of PointAugmenting, Wang et al. 2021).
        objects_per_class: objects of a class to choose from, at most; bounds the memory of each loading process.
    """

    per_class: dict[str, int] = field(default_factory=lambda: dict(CENTERPOINT_OBJECTS))
    minimum_points: int = 5
    turn: float = 0.0
    stop_fraction: float = 0.2
    objects_per_class: int = 5000

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.per_class) - set(CLASSES)):
            raise UserError(f"pasting.per_class: unknown class {unknown[0]!r}; choose from {', '.join(CLASSES)}")
        if min(self.minimum_points, self.objects_per_class) < 1 or any(n < 0 for n in self.per_class.values()):
            raise UserError(
                "pasting: minimum_points and objects_per_class must be at least 1, the numbers of per_class not "
                f"negative; got {self.minimum_points}, {self.objects_per_class} and {self.per_class}"
            )
        if self.turn < 0 or not 0 <= self.stop_fraction <= 1:
            raise UserError(
                f"pasting: turn must not be negative and stop_fraction be from 0 to 1; got {self.turn:g} and "
                f"{self.stop_fraction:g}"
            )

    def has_stopped(self, progress: float) -> bool:
        """Whether nothing is pasted any more when a share ``progress`` of the training is over."""
        return progress + self.stop_fraction >= 1 - 1e-9  # the margin is for rounding: .7 + .3 has stopped

    def pasted(self, sample: Sample, objects: ObjectDatabase) -> Sample:
        """The sample with objects drawn from ``sample.seed``. Not augmented yet, ``sample.labels`` set.

        A sample that lacks one of the sensors that the objects were seen by stays as it is.

        Raises:
            BadFileError: see ``ObjectDatabase.get``.
        """
        view, labels = objects.view, sample.labels
        assert labels is not None, "objects are pasted into labelled samples"
        if (view.lidar is not None and sample.lidar is None) or (view.radar is not None and sample.radar is None):
            return sample
        random = np.random.default_rng((sample.seed, 0x9A57E))
        candidates = self._drawn(labels, objects, random)
        kept = _without_collisions(labels.boxes, candidates)
        if not kept:
            return sample
        boxes = torch.cat([one.labels.boxes for one in kept])
        lidar, radar = sample.lidar, sample.radar
        if lidar is not None:
            lidar = _with_objects(lidar, boxes, [one.lidar for one in kept])
        if radar is not None:
            radar = _with_objects(radar, boxes, [one.radar for one in kept])
        return replace(sample, lidar=lidar, radar=radar, labels=_joined(labels, *(one.labels for one in kept)))

    def _drawn(self, labels: Labels, objects: ObjectDatabase, random: np.random.Generator) -> list[CutObject]:
        """Objects of the classes that are short, each moved to where it would go, in random order."""
        seen = labels.class_index[labels.lidar_points + labels.radar_points > 0]
        present = torch.bincount(seen, minlength=len(CLASSES)).tolist()
        found = []
        for class_index, name in enumerate(CLASSES):
            missing = min(self.per_class.get(name, 0) - present[class_index], objects.count(class_index))
            if missing > 0:
                numbers = random.choice(objects.count(class_index), missing, replace=False)
                for number, angle in zip(numbers, random.uniform(-self.turn, self.turn, missing), strict=True):
                    one = objects.get(class_index, int(number))
                    if one is not None:
                        found.append(_turned(one, angle) if self.turn else one)
        return [found[place] for place in random.permutation(len(found))]


def _turned(one: CutObject, angle: float) -> CutObject:
    """The object moved about the z axis of the ego frame."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
    return CutObject(
        replace(one.labels, boxes=transform_boxes(turn, one.labels.boxes)),
        moved_points(one.lidar, turn),
        moved_points(one.radar, turn, RADAR_VELOCITY),
    )


def _without_collisions(present: Float[Tensor, "box 9"], candidates: Sequence[CutObject]) -> list[CutObject]:
    """Those that overlap neither a present box nor a candidate before them that stays."""
    if not candidates:
        return []
    boxes = torch.cat([one.labels.boxes for one in candidates])
    free = ~overlapping_from_above(boxes, present).any(1)
    collide = overlapping_from_above(boxes, boxes)
    kept: list[int] = []
    for place in free.nonzero()[:, 0].tolist():
        if not collide[place, kept].any():
            kept.append(place)
    return [candidates[place] for place in kept]


def _with_objects(
    points: Float[Tensor, "point field"], boxes: Float[Tensor, "box 9"], objects: Sequence[Float[Tensor, "_ field"]]
) -> Float[Tensor, "merged field"]:
    """The cloud with the objects' points in place of what was in their boxes."""
    keep = torch.ones(len(points), dtype=torch.bool)
    keep[torch.cat(indices_in_boxes(points[:, :3], boxes))] = False
    return torch.cat((points[keep], *objects))


def _joined(*parts: Labels) -> Labels:
    return Labels(
        boxes=torch.cat([part.boxes for part in parts]),
        class_index=torch.cat([part.class_index for part in parts]),
        lidar_points=torch.cat([part.lidar_points for part in parts]),
        radar_points=torch.cat([part.radar_points for part in parts]),
        visibility=torch.cat([part.visibility for part in parts]),
        instances=tuple(token for part in parts for token in part.instances),
    )
