"""The detection score of a release as a whole, by class and by slice, for every choice of scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.comparing.measure import Item, Measure
from avjepa.evaluate.comparing.slices import Slicing, slicings
from avjepa.evaluate.comparing.weighted_precision import SceneCounts
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.curves import Curve
from avjepa.evaluate.detection.fast import DISTANCES, FastDetectionEval, MatchedPredictions
from avjepa.evaluate.detection.ground_truth import GroundTruth

MEAN, BY_BOXES, CLASS = "mAP", "mAP by boxes", "class"
"""Groups of items: mAP, the mean of AP weighted by the boxes of each class, and the AP of a class."""


@dataclass(frozen=True)
class DetectionScenes:
    """What detections are held against, with the scenes and slices of it.

    Attributes:
        truth: the annotated boxes that count.
        taxonomy: their classes.
        compared: indices of the classes that are compared.
        scenes: names.
        scene_of_sample: index into ``scenes``.
        slicings: see ``slices``.
    """

    truth: GroundTruth
    taxonomy: Taxonomy
    compared: tuple[int, ...]
    scenes: tuple[str, ...]
    scene_of_sample: Int64[Array, "sample"]
    slicings: tuple[Slicing, ...]

    @classmethod
    def of(
        cls,
        annotated: AnnotatedKeyframes,
        taxonomy: Taxonomy,
        descriptions: Mapping[str, str],
        compared: Sequence[str] | None = None,
    ) -> "DetectionScenes":
        """Of some keyframes.

        Args:
            annotated: the keyframes.
            taxonomy: the classes.
            descriptions: of scenes, by name.
            compared: the classes that both releases know; all for ``None``.
        """
        truth = GroundTruth.of(annotated, taxonomy)
        numbers, scene_of_sample = np.unique(annotated.scene, return_inverse=True)
        scenes = tuple(annotated.scenes[number] for number in numbers)
        indices = tuple(taxonomy.classes.index(name) for name in compared or taxonomy.classes)
        parts = tuple(slicings(annotated, truth, taxonomy, descriptions))
        return cls(truth, taxonomy, indices, scenes, scene_of_sample, parts)

    def by_keyframe(self) -> "DetectionScenes":
        """Each keyframe as a scene of its own, without slices."""
        tokens = self.truth.sample_tokens
        return replace(self, scenes=tokens, scene_of_sample=np.arange(len(tokens)), slicings=())

    def matched(self, predictions: BoxTable) -> MatchedPredictions:
        """What predictions found; ``predictions.sample`` counts the samples of the split."""
        return FastDetectionEval(self.truth, self.taxonomy).matched(predictions)

    def boxes_by_scene(self, chosen: Bool[Array, "box"]) -> Int64[Array, "scene"]:
        """How many of some annotated boxes lie in each scene."""
        scene = self.scene_of_sample[self.truth.boxes.sample[chosen]]
        return np.bincount(scene, minlength=len(self.scenes)).astype(np.int64)


class DetectionMeasure(Measure):
    """mAP, the AP of each class and the mAP of each slice, each a mean over the four matching distances.

    mAP weighs a class of a hundred boxes as one of ten thousand, and most of its noise comes from such classes. A loss
    that is spread over all classes is seen earlier where each counts as much as it has boxes: ``BY_BOXES``.

    The mAP of a slice is that of the classes with at least ``fewest`` boxes in it: of fewer, the AP of a class is
    mostly noise, and a mean of AP weighs all classes alike. A slice in which no class has as many is left out.

    Args:
        scenes: what the detections are held against.
        matches: the detections and what they found.
        fewest: boxes.
    """

    def __init__(self, scenes: DetectionScenes, matches: MatchedPredictions, fewest: int) -> None:
        self.scenes = len(scenes.scenes)
        self._parts: list[list[list[SceneCounts]]] = []  # by item, class and distance
        values: list[list[float]] = []
        items: list[Item] = []
        of_box = scenes.truth.boxes.class_index
        every = np.ones(len(of_box), np.bool_)
        for index in scenes.compared:
            boxes = scenes.boxes_by_scene(of_box == index)
            items.append(Item(CLASS, scenes.taxonomy.classes[index], int(boxes.sum()), int((boxes > 0).sum())))
            curves, aps = _curves(scenes, matches, index, every, None)
            self._parts.append([curves])
            values.append([aps])
        classes = len(items)
        for slicing in scenes.slicings:
            lies_in = None if slicing.of_predictions is None else slicing.of_predictions(matches.predicted)
            for place, name in enumerate(slicing.names):
                inside = slicing.of_truth == place
                known = [index for index in scenes.compared if (inside & (of_box == index)).sum() >= fewest]
                if not known:
                    continue
                boxes = scenes.boxes_by_scene(inside & np.isin(of_box, known))
                items.append(Item(slicing.group, name, int(boxes.sum()), int((boxes > 0).sum())))
                own = None if lies_in is None else lies_in == place
                found = [_curves(scenes, matches, index, inside, own) for index in known]
                self._parts.append([curves for curves, _ in found])
                values.append([ap for _, ap in found])
        boxes = scenes.boxes_by_scene(np.isin(of_box, scenes.compared))
        headlines = [Item(group, "", int(boxes.sum()), int((boxes > 0).sum())) for group in (MEAN, BY_BOXES)]
        self.items = (*headlines, *items)
        self._share = np.array([item.objects for item in items[:classes]]) / max(1, boxes.sum())
        means = np.array([np.mean(aps) for aps in values])
        self.values = np.array([means[:classes].mean(), means[:classes] @ self._share, *means])

    def by_scene(self) -> Float64[Array, "scene"]:
        """The mAP of each scene by itself, of the classes that occur in it; NaN for a scene without a box."""
        of_classes = self._parts[: len(self._share)]
        aps = [np.mean([one.alone() for one in curves], axis=0) for (curves,) in of_classes]
        return _mean_of_known(np.stack(aps, axis=1))

    def weighted(self, weights: Float32[Array, "draw scene"]) -> Float64[Array, "draw item"]:
        """See ``Measure``: a class without a box in a draw has an AP of 0, and is left out of slices."""
        columns = []
        for by_class in self._parts:
            aps = [np.mean([one.average_precision(weights) for one in curves], axis=0) for curves in by_class]
            columns.append(_mean_of_known(np.stack(aps, axis=1)))
        classes = np.nan_to_num(np.stack(columns[: len(self._share)], axis=1))
        headlines = classes.mean(axis=1), classes @ self._share
        return np.stack([*headlines, *classes.T, *columns[len(self._share) :]], axis=1)


def _curves(
    scenes: DetectionScenes,
    matches: MatchedPredictions,
    index: int,
    inside: Bool[Array, "box"],
    lies_in: Bool[Array, "prediction"] | None,
) -> tuple[list[SceneCounts], float]:
    """The curves of a class in a part at each distance, and the mean AP there.

    Args:
        scenes: what detections are held against.
        matches: the detections.
        index: of the class.
        inside: annotated boxes of the part.
        lies_in: predictions that count against the part if they find nothing; all for ``None``.
    """
    own = matches.of_class(index)
    predicted = matches.predicted.selected(own)
    scene = scenes.scene_of_sample[predicted.sample]
    boxes = scenes.boxes_by_scene(inside & (scenes.truth.boxes.class_index == index))
    counts, aps = [], []
    for row in matches.found[:, own]:
        hit = (row >= 0) & inside[row]
        kept = hit | ((row < 0) if lies_in is None else (row < 0) & lies_in[own])
        counts.append(SceneCounts.of(scene[kept], hit[kept], boxes))
        curve = Curve.of_hits(predicted.score[kept], hit[kept], int(boxes.sum())) if hit.any() else None
        aps.append(0.0 if curve is None else curve.average_precision())
    assert len(counts) == len(DISTANCES)
    return counts, float(np.mean(aps))


def _mean_of_known(aps: Float64[Array, "draw class"]) -> Float64[Array, "draw"]:
    """Mean of what is no NaN; NaN where nothing is left."""
    known = ~np.isnan(aps)
    with np.errstate(invalid="ignore"):
        result: Array = np.where(known, aps, 0.0).sum(axis=1) / known.sum(axis=1)
    return result
