"""Detectors that are drawn rather than trained: what they find in annotated scenes, and what another seed changes.

Every annotated box has a difficulty that all detectors share: it grows with distance, falls with the number of points,
and is otherwise drawn. Each seed of a detector adds its own: an offset of each class (large for rare ones), of each
class at each distance, size and speed, of each class in each scene, and of each box. A box whose sum is above zero is
found, with a score and an error of position that are better the higher the sum. False positives come from places that
look like an object to all detectors, with scores that differ between seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from avjepa.evaluate.comparing.detection import DetectionScenes
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable


@dataclass(frozen=True)
class ClassModel:
    """How well detectors find a class.

    Attributes:
        ease: how far above zero a box of no difficulty is; logits, as all that follows.
        miss: standard deviation of the error of position (m, each axis).
        false: false positives a sample.
        gap: how far their scores lie below those of boxes of no difficulty.
        by_seed: standard deviation of the offset of the class between seeds.
    """

    ease: float
    miss: float
    false: float
    gap: float
    by_seed: float


MODELS = {
    "car": ClassModel(3.7, 0.43, 40, 4.7, 0.01),
    "pedestrian": ClassModel(3.1, 0.48, 40, 2.4, 0.02),
    "barrier": ClassModel(2.4, 0.78, 7, 1.9, 0.04),
    "traffic_cone": ClassModel(1.6, 0.56, 6, 2.0, 0.05),
    "truck": ClassModel(0.5, 1.2, 6, 0.9, 0.05),
    "bus": ClassModel(0.7, 1.1, 2.5, 0.2, 0.9),
    "construction_vehicle": ClassModel(-1.0, 1.1, 0.8, 0.3, 0.35),
    "bicycle": ClassModel(-3.5, 0.6, 0.5, 0.0, 0.5),
    "motorcycle": ClassModel(-3.5, 0.6, 0.3, 0.0, 0.5),
    "trailer": ClassModel(-3.5, 1.2, 0.3, 0.0, 0.5),
}
"""Fitted by hand to detectors that were trained for 400 steps; see ``docs/results/gate.md``."""

_SHARED = 1.0  # of a box's difficulty, besides distance and points
_OWN = 0.4  # of a box, anew for each seed
_OWN_MISS = 0.3  # of the variance of an error of position
_IN_SCENE, _SHARE_IN_SCENE = 0.1, 0.6  # of a class in a scene: so much, and so much of what the class varies by seed
_IN_SLICE, _SHARE_IN_SLICE = 0.015, 0.5  # likewise of a class at a distance, of a size, at a speed
_FALSE_SHARED, _FALSE_OWN = 1.0, 0.4
_LIKENESS = (0.15, 0.3)  # of the size and the speed of a class's false positives, as a logarithm
_SAMPLES_FALSE = 2.0
"""Candidates of false positives for each that is reported."""


class DetectorWorld:
    """Scenes in which detectors are drawn.

    Args:
        scenes: the annotated boxes.
        points: LiDAR and radar points of each of them.
        seed: of what all detectors share.
    """

    def __init__(self, scenes: DetectionScenes, points: np.ndarray, seed: int) -> None:
        self.scenes = scenes
        self.models = [MODELS[name] for name in scenes.taxonomy.classes]
        rng = np.random.default_rng(seed)
        truth = scenes.truth
        boxes = truth.boxes
        away = np.linalg.norm(boxes.translation[:, :2] - truth.region.vehicle[boxes.sample], axis=1)
        harder = (away - 20) / 15 - 0.3 * np.log((1 + points) / 10)
        self._difficulty = harder + _SHARED * rng.standard_normal(len(boxes))
        self._miss = rng.standard_normal((len(boxes), 2))
        self._false = self._candidates(rng)
        self._false_score = _FALSE_SHARED * rng.standard_normal(len(self._false))

    def _candidates(self, rng: np.random.Generator) -> BoxTable:
        """Boxes of each class moved to other places, at which nothing is."""
        truth, samples = self.scenes.truth, len(self.scenes.scene_of_sample)
        rows = []
        for index, model in enumerate(self.models):
            own = np.flatnonzero(truth.boxes.class_index == index)
            if len(own):
                rows.append(rng.choice(own, round(_SAMPLES_FALSE * model.false * samples)))
        boxes = truth.boxes.selected(np.concatenate(rows))
        sample = rng.integers(0, samples, len(boxes))
        radius = truth.region.class_range[boxes.class_index] * np.sqrt(rng.random(len(boxes)))
        turn = 2 * np.pi * rng.random(len(boxes))
        place = truth.region.vehicle[sample] + np.stack((radius * np.cos(turn), radius * np.sin(turn)), axis=1)
        translation = np.concatenate((place, boxes.translation[:, 2:]), axis=1)
        return _table(boxes, sample, translation, boxes.score)

    def detections(self, seed: int, loss: Mapping[str, float] | None = None, far_loss: float = 0.0) -> BoxTable:
        """What the detector of a seed finds.

        Args:
            seed: of the detector.
            loss: by how much each class is worse than it should be (logits); none for ``None``.
            far_loss: the same for all boxes from 30 m on.
        """
        rng = np.random.default_rng(seed)
        truth = self.scenes.truth.boxes
        classes, scenes = len(self.models), len(self.scenes.scenes)
        of_class = truth.class_index
        lost = np.array([(loss or {}).get(name, 0.0) for name in self.scenes.taxonomy.classes])
        by_seed = np.array([model.by_seed for model in self.models]) * rng.standard_normal(classes)
        ease = np.array([model.ease for model in self.models])
        certainty = (ease + by_seed - lost)[of_class] - self._difficulty
        scene = self.scenes.scene_of_sample
        uneven = np.array([_IN_SCENE + _SHARE_IN_SCENE * model.by_seed for model in self.models])
        in_scene = uneven[:, None] * rng.standard_normal((classes, scenes))
        certainty += in_scene[of_class, scene[truth.sample]]
        for slicing in self.scenes.slicings:
            if slicing.of_predictions is not None:
                scale = np.array([_IN_SLICE + _SHARE_IN_SLICE * model.by_seed for model in self.models])
                offset = scale[:, None] * rng.standard_normal((classes, len(slicing.names) + 1))
                certainty += offset[of_class, slicing.of_truth]
            if slicing.group == "distance":
                certainty -= far_loss * (slicing.of_truth >= 2)
        certainty += _OWN * rng.standard_normal(len(truth))
        found = np.flatnonzero(certainty > 0)
        spread = np.array([model.miss for model in self.models])[of_class] * np.exp(0.005 * rng.standard_normal())
        own = rng.standard_normal((len(truth), 2))
        miss = (np.sqrt(1 - _OWN_MISS) * self._miss + np.sqrt(_OWN_MISS) * own) * spread[:, None]
        translation = truth.translation[found].copy()
        translation[:, :2] += miss[found]
        hits = _table(truth.selected(found), truth.sample[found], translation, certainty[found])
        return _joined(hits, self._false_positives(rng, ease + by_seed))

    def _false_positives(self, rng: np.random.Generator, ease: np.ndarray) -> BoxTable:
        gap = np.array([model.gap for model in self.models]) + 0.015 * rng.standard_normal(len(self.models))
        own = self._false_score + _FALSE_OWN * rng.standard_normal(len(self._false))
        index = self._false.class_index
        kept = own > 0  # half of the candidates
        larger, faster = (np.exp(scale * rng.standard_normal(len(self.models)))[index, None] for scale in _LIKENESS)
        boxes = replace(self._false, size=self._false.size * larger, velocity=self._false.velocity * faster)
        certainty = (ease - gap)[index] + own
        return _table(boxes, boxes.sample, boxes.translation, certainty).selected(kept)


def _table(boxes: BoxTable, sample: np.ndarray, translation: np.ndarray, certainty: np.ndarray) -> BoxTable:
    velocity = np.nan_to_num(boxes.velocity)
    attribute = np.full(len(boxes), NO_ATTRIBUTE)
    score = 1 / (1 + np.exp(-certainty))
    return BoxTable(sample, boxes.class_index, translation, boxes.size, boxes.yaw, velocity, attribute, score)


def _joined(*tables: BoxTable) -> BoxTable:
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in vars(tables[0])}
    return BoxTable(**columns)
