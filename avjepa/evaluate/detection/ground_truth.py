"""What the predictions of a split are held against: its annotated boxes, and where boxes count at all."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable
from avjepa.evaluate.pairs import expanded


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of a split, as the evaluation of the nuScenes detection task counts them."""

    sample_tokens: tuple[str, ...]
    """Every keyframe of the split."""
    annotations: int
    """How many boxes are annotated, whatever their category, points and place."""
    boxes: BoxTable
    """Those that count: of a class, hit by a LiDAR or radar point (or nobody knows), in the region."""
    rows: Int64[Array, "box"]
    """Where each of ``boxes`` stands among the annotations."""
    region: "EvaluationRegion"
    knows_attributes: bool
    """Whether the data set knows attributes at all."""

    @classmethod
    def of(cls, annotated: AnnotatedKeyframes, taxonomy: Taxonomy) -> "GroundTruth":
        """Of what is annotated in a split."""
        region = EvaluationRegion.of(annotated, taxonomy)
        rows = countable_rows(annotated)
        boxes = _boxes(annotated, rows, taxonomy)
        counts = region.counts(boxes)
        knows_attributes = annotated.attributes is not None
        boxes, rows = boxes.selected(counts), rows[counts]
        return cls(annotated.tokens, len(annotated.keyframe), boxes, rows, region, knows_attributes)


def countable_rows(annotated: AnnotatedKeyframes) -> Int64[Array, "box"]:
    """The annotated boxes that are of a class and have points."""
    hit = (annotated.lidar_points != 0) | (annotated.radar_points != 0)  # -1: unknown, so it counts
    return np.flatnonzero((annotated.class_index >= 0) & hit)


def _boxes(annotated: AnnotatedKeyframes, rows: Int64[Array, "box"], taxonomy: Taxonomy) -> BoxTable:
    names = taxonomy.attribute_names()
    attribute_of = [names.index(name) if name in names else NO_ATTRIBUTE for name in annotated.attributes or ()]
    boxes = annotated.boxes[rows]
    return BoxTable(
        sample=annotated.keyframe[rows],
        class_index=annotated.class_index[rows],
        translation=boxes[:, :3],
        size=boxes[:, [4, 3, 5]],
        yaw=boxes[:, 6],
        velocity=boxes[:, 7:9],
        # the last one is for -1, no attribute
        attribute=np.array([*attribute_of, NO_ATTRIBUTE], np.int64)[annotated.attribute[rows]],
        score=np.full(len(rows), -1.0),
    )


@dataclass(frozen=True)
class EvaluationRegion:
    """Where boxes count: within a class's range of the vehicle, and outside the boxes that hide the class."""

    vehicle: Float64[Array, "sample 2"]
    """Where the ego vehicle is (global frame) at the reference time; NaN in a scene in which nothing was recorded."""
    class_range: Float64[Array, "class"]
    hiding_sample: Int64[Array, "hiding"]
    """Sample of every box that hides classes, ascending."""
    hiding_box: Float64[Array, "hiding 7"]
    """Centre, length, width, height, yaw."""
    hides: Bool[Array, "hiding class"]

    @classmethod
    def of(cls, annotated: AnnotatedKeyframes, taxonomy: Taxonomy) -> "EvaluationRegion":
        """The region of some keyframes."""
        hidden_by = np.zeros((len(annotated.categories), len(taxonomy.classes)), np.bool_)
        for category, names in taxonomy.ignored_inside.items():
            if category in annotated.categories:
                row = annotated.categories.index(category)
                hidden_by[row] = [name in names for name in taxonomy.classes]
        hides = hidden_by[annotated.category]
        rows = np.flatnonzero(hides.any(1))
        rows = rows[np.argsort(annotated.keyframe[rows], kind="stable")]
        return cls(
            vehicle=annotated.vehicle,
            class_range=np.array([taxonomy.ranges[name] for name in taxonomy.classes], np.float64),
            hiding_sample=annotated.keyframe[rows],
            hiding_box=annotated.boxes[rows, :7],
            hides=hides[rows],
        )

    def counts(self, boxes: BoxTable) -> Bool[Array, "box"]:
        """Which boxes count."""
        return self.holds(boxes.sample, boxes.class_index, boxes.translation)

    def holds(
        self, sample: Int64[Array, "box"], class_index: Int64[Array, "box"], centre: Float[Array, "box 3"]
    ) -> Bool[Array, "box"]:
        """Which boxes count, told by their samples, classes and centres."""
        x, y = (centre[:, axis] - self.vehicle[sample, axis] for axis in (0, 1))
        keep: Array = np.sqrt(x**2 + y**2) < self.class_range[class_index]
        hiding = np.bincount(self.hiding_sample, minlength=len(self.vehicle))
        (near,) = np.nonzero(keep & self.hides.any(0)[class_index] & (hiding > 0)[sample])
        of_near = sample[near]
        pair, hider = expanded((np.cumsum(hiding) - hiding)[of_near], hiding[of_near])
        box = near[pair]
        hidden = self.hides[hider, class_index[box]] & _inside(centre[box], self.hiding_box[hider])
        keep[box[hidden]] = False
        return keep


def _inside(points: Float64[Array, "pair 3"], boxes: Float64[Array, "pair 7"]) -> Bool[Array, "pair"]:
    offset = points - boxes[:, :3]
    cos, sin = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    along = cos * offset[:, 0] + sin * offset[:, 1]
    across = cos * offset[:, 1] - sin * offset[:, 0]
    inside: Array = (np.abs(np.stack((along, across, offset[:, 2]), 1)) <= boxes[:, 3:6] / 2).all(1)
    return inside
