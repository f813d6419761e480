"""What the predictions of a split are held against: its annotated boxes, and where boxes count at all."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.box_table import NO_ATTRIBUTE, BoxTable


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of a split, as the evaluation of the nuScenes detection task counts them."""

    sample_tokens: tuple[str, ...]
    """Every keyframe of the split that the tables hold."""
    annotations: int
    """How many boxes are annotated, whatever their category, points and place."""
    boxes: BoxTable
    """Those that count: of a class, hit by a LiDAR or radar point (or nobody knows), in the region."""
    region: "EvaluationRegion"
    knows_attributes: bool
    """Whether the dataset has a table of attributes."""

    @classmethod
    def of_split(
        cls, index: DatasetIndex, annotations: AnnotationIndex, taxonomy: Taxonomy, split: str
    ) -> "GroundTruth":
        """Gather a split's annotations from the dataset's arrays.

        Raises:
            UserError: there is no such split, or the tables hold none of its scenes.
        """
        samples = index.samples(index.scenes_of(split))
        position = np.full(len(index.sample_timestamp), -1, np.int64)
        position[samples] = np.arange(len(samples))
        sample = position[annotations.sample]
        rows = np.flatnonzero(sample >= 0)
        region = EvaluationRegion.of_samples(index, annotations, taxonomy, samples)
        boxes = _annotated_boxes(annotations, taxonomy, rows, sample[rows])
        tokens = tuple(index.sample_token(int(row)) for row in samples)
        knows_attributes = (index.folder / "attribute.json").is_file()
        return cls(tokens, len(rows), region.inside(boxes), region, knows_attributes)


def _annotated_boxes(
    annotations: AnnotationIndex, taxonomy: Taxonomy, rows: Int64[Array, "row"], sample: Int64[Array, "row"]
) -> BoxTable:
    """The rows that are of a class and have points."""
    hit = (annotations.lidar_points[rows] != 0) | (annotations.radar_points[rows] != 0)  # -1: unknown, so it counts
    wanted = (annotations.class_index[rows] >= 0) & hit
    rows, sample = rows[wanted], sample[wanted]
    names = taxonomy.attribute_names()
    attribute_of = [names.index(name) if name in names else NO_ATTRIBUTE for name in annotations.attributes]
    boxes = annotations.boxes[rows]
    return BoxTable(
        sample=sample,
        class_index=annotations.class_index[rows].astype(np.int64),
        translation=boxes[:, :3],
        size=boxes[:, [4, 3, 5]],
        yaw=boxes[:, 6],
        velocity=boxes[:, 7:9],
        # the last one is for -1, no attribute
        attribute=np.array([*attribute_of, NO_ATTRIBUTE], np.int64)[annotations.attribute[rows]],
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
    def of_samples(
        cls, index: DatasetIndex, annotations: AnnotationIndex, taxonomy: Taxonomy, samples: Int64[Array, "sample"]
    ) -> "EvaluationRegion":
        """The region of some keyframes."""
        position = np.full(len(index.sample_timestamp), -1, np.int64)
        position[samples] = np.arange(len(samples))
        hidden_by = np.zeros((len(annotations.categories), len(taxonomy.classes)), np.bool_)
        for category, names in taxonomy.ignored_inside.items():
            if category in annotations.categories:
                row = annotations.categories.index(category)
                hidden_by[row] = [name in names for name in taxonomy.classes]
        hides = hidden_by[annotations.category] if len(annotations) else np.zeros((0, len(taxonomy.classes)), np.bool_)
        rows = np.flatnonzero(hides.any(1) & (position[annotations.sample] >= 0))
        rows = rows[np.argsort(position[annotations.sample[rows]], kind="stable")]
        return cls(
            vehicle=_vehicle_positions(index, samples),
            class_range=np.array([taxonomy.ranges[name] for name in taxonomy.classes], np.float64),
            hiding_sample=position[annotations.sample[rows]],
            hiding_box=annotations.boxes[rows, :7],
            hides=hides[rows],
        )

    def inside(self, boxes: BoxTable) -> BoxTable:
        """The boxes that count."""
        offset = boxes.translation[:, :2] - self.vehicle[boxes.sample]
        keep = np.sqrt((offset**2).sum(1)) < self.class_range[boxes.class_index]
        first, last = (np.searchsorted(self.hiding_sample, boxes.sample, side) for side in ("left", "right"))
        # every pair of a box and a box of its sample that may hide it
        (near,) = np.nonzero(keep & (last > first))
        count = (last - first)[near]
        box = np.repeat(near, count)
        hiding = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first[near], count)
        hidden = self.hides[hiding, boxes.class_index[box]] & _inside(boxes.translation[box], self.hiding_box[hiding])
        keep[box[hidden]] = False
        return boxes.selected(keep)


def _inside(points: Float64[Array, "pair 3"], boxes: Float64[Array, "pair 7"]) -> Bool[Array, "pair"]:
    offset = points - boxes[:, :3]
    cos, sin = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    along = cos * offset[:, 0] + sin * offset[:, 1]
    across = cos * offset[:, 1] - sin * offset[:, 0]
    inside: Array = (np.abs(np.stack((along, across, offset[:, 2]), 1)) <= boxes[:, 3:6] / 2).all(1)
    return inside


def _vehicle_positions(index: DatasetIndex, samples: Int64[Array, "sample"]) -> Float64[Array, "sample 2"]:
    """Where the vehicle is at each keyframe: by its reference record, else by the scene's record nearest in time."""
    record = np.full(len(index.sample_timestamp), -1, np.int64)
    moments = index.moment_record[index.moments(keyframes_only=True)]
    record[index.record_sample[moments]] = moments
    for sample in samples[record[samples] < 0]:
        own = np.flatnonzero(index.sample_scene[index.record_sample] == index.sample_scene[sample])
        if len(own):
            away = np.abs(index.record_timestamp[own] - index.sample_timestamp[sample])
            record[sample] = own[away.argmin()]
    known = record[samples] >= 0
    position = np.full((len(samples), 2), np.nan)
    position[known] = index.global_from_ego(record[samples][known])[:, :2, 3].numpy()
    return position
