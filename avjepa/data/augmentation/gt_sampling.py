"""Pasting of annotated objects into the clouds of other keyframes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.augmentation.augment import RADAR_VELOCITY
from avjepa.data.augmentation.gt_database import GTDatabase, ObjectCrop
from avjepa.data.labels import Labels
from avjepa.data.sample import Sample
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.geometry.boxes import indices_in_boxes
from avjepa.geometry.overlap import overlapping_from_above

CENTERPOINT_OBJECTS = {
    "car": 2, "truck": 3, "construction_vehicle": 7, "bus": 4, "trailer": 6,
    "barrier": 2, "motorcycle": 6, "bicycle": 6, "pedestrian": 2, "traffic_cone": 2,
}  # fmt: skip
"""Objects of each class that CenterPoint (Yin et al. 2021) wants in a nuScenes sample."""


@dataclass(frozen=True)
class GTSampling:
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
        if min(self.minimum_points, self.objects_per_class) < 1 or any(n < 0 for n in self.per_class.values()):
            raise UserError(
                "gt_sampling: minimum_points and objects_per_class must be at least 1, the numbers of per_class not "
                f"negative; got {self.minimum_points}, {self.objects_per_class} and {self.per_class}"
            )
        if not 0 <= self.turn <= math.pi or not 0 <= self.stop_fraction <= 1:
            raise UserError(
                f"gt_sampling: turn must be from 0 to π and stop_fraction from 0 to 1; got {self.turn:g} and "
                f"{self.stop_fraction:g}"
            )

    def check(self, taxonomy: Taxonomy) -> None:
        """Raises ``UserError`` where a class is named that a taxonomy does not have."""
        if unknown := sorted(set(self.per_class) - set(taxonomy.classes)):
            known = ", ".join(taxonomy.classes)
            raise UserError(f"gt_sampling.per_class: unknown class {unknown[0]!r}; choose from {known}")

    def has_stopped(self, progress: float) -> bool:
        """Whether nothing is pasted any more when a share ``progress`` of the training is over."""
        return progress + self.stop_fraction >= 1 - 1e-9  # the margin is for rounding: .7 + .3 has stopped

    def pasted(self, sample: Sample, objects: GTDatabase) -> Sample:
        """The sample with objects drawn from ``sample.seed``. Not augmented yet, ``sample.labels`` set.

        A sample that lacks one of the sensors that the objects were seen by stays as it is.

        Raises:
            BadFileError: see ``GTDatabase.get``.
        """
        inputs, labels = objects.inputs, sample.labels
        assert labels is not None, "objects are pasted into labelled samples"
        if (inputs.lidar is not None and sample.lidar is None) or (inputs.radar is not None and sample.radar is None):
            return sample
        random = np.random.default_rng((sample.seed, 0x9A57E))
        candidates, angles = self._drawn(labels, objects, random)
        if not candidates:
            return sample
        boxes = _turned_boxes(torch.cat([one.labels.boxes for one in candidates]), angles)
        kept = _without_collisions(labels.boxes, boxes)
        if not kept:
            return sample
        chosen, boxes, angles = [candidates[place] for place in kept], boxes[kept], angles[kept]
        lidar, radar = sample.lidar, sample.radar
        if lidar is not None:
            lidar = _with_objects(lidar, boxes, _turned_points([one.lidar for one in chosen], angles))
        if radar is not None:
            added = _turned_points([one.radar for one in chosen], angles, RADAR_VELOCITY)
            radar = _with_objects(radar, boxes, added)
        pasted = replace(_joined(*(one.labels for one in chosen)), boxes=boxes)
        return replace(sample, lidar=lidar, radar=radar, labels=_joined(labels, pasted))

    def _drawn(
        self, labels: Labels, objects: GTDatabase, random: np.random.Generator
    ) -> tuple[list[ObjectCrop], Float[Tensor, "object"]]:
        """Objects of the classes that are short, in random order, and the angle by which each is moved."""
        seen = labels.class_index[labels.with_points()]
        present = torch.bincount(seen, minlength=len(objects.classes)).tolist()
        found = []
        for class_index, name in enumerate(objects.classes):
            missing = min(self.per_class.get(name, 0) - present[class_index], objects.count(class_index))
            if missing > 0:
                numbers = random.choice(objects.count(class_index), missing, replace=False)
                found += [one for number in numbers if (one := objects.get(class_index, int(number))) is not None]
        angles = random.uniform(-self.turn, self.turn, len(found))
        order = random.permutation(len(found))
        return [found[place] for place in order], torch.from_numpy(angles).float()


def _turned(vectors: Float[Tensor, "vector 2"], angles: Float[Tensor, "vector"]) -> Float[Tensor, "vector 2"]:
    cos, sin = angles.cos(), angles.sin()
    x, y = vectors.unbind(1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=1)


def _turned_boxes(boxes: Float[Tensor, "box 9"], angles: Float[Tensor, "box"]) -> Float[Tensor, "box 9"]:
    """Each box moved about the z axis by an angle of its own; an angle of 0 changes no bit."""
    moved = boxes.clone()
    moved[:, :2] = _turned(boxes[:, :2], angles)
    yaw = boxes[:, 6] + angles
    moved[:, 6] = torch.where(yaw.abs() > math.pi, yaw - 2 * math.pi * yaw.sign(), yaw)
    moved[:, 7:9] = _turned(boxes[:, 7:9], angles)
    return moved


def _turned_points(
    clouds: Sequence[Float[Tensor, "_ field"]], angles: Float[Tensor, "cloud"], velocity: slice | None = None
) -> Float[Tensor, "point field"]:
    """All points, each cloud moved about the z axis by an angle of its own."""
    points = torch.cat(list(clouds))
    of_point = angles.repeat_interleave(torch.tensor([len(cloud) for cloud in clouds]))
    points[:, :2] = _turned(points[:, :2], of_point)
    if velocity is not None:
        points[:, velocity] = _turned(points[:, velocity], of_point)
    return points


def _without_collisions(present: Float[Tensor, "box 9"], boxes: Float[Tensor, "candidate 9"]) -> list[int]:
    """Which candidates overlap neither a present box nor a candidate before them that stays."""
    free = ~overlapping_from_above(boxes, present).any(1)
    collides = overlapping_from_above(boxes, boxes).tolist()
    kept: list[int] = []
    for place in free.nonzero()[:, 0].tolist():
        if not any(collides[place][other] for other in kept):
            kept.append(place)
    return kept


def _with_objects(
    points: Float[Tensor, "point field"], boxes: Float[Tensor, "box 9"], added: Float[Tensor, "_ field"]
) -> Float[Tensor, "merged field"]:
    """The cloud with the objects' points in place of what was in their boxes."""
    keep = torch.ones(len(points), dtype=torch.bool)
    keep[torch.cat(indices_in_boxes(points[:, :3], boxes))] = False
    return torch.cat((points[keep], added))


def _joined(*parts: Labels) -> Labels:
    return Labels(
        boxes=torch.cat([part.boxes for part in parts]),
        class_index=torch.cat([part.class_index for part in parts]),
        lidar_points=torch.cat([part.lidar_points for part in parts]),
        radar_points=torch.cat([part.radar_points for part in parts]),
        visibility=torch.cat([part.visibility for part in parts]),
        track_ids=torch.cat([part.track_ids for part in parts]),
    )
