"""Boxes of a split in the ego frames of their sweeps, in which the competition has them."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.poses import inverse_pose
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.evaluate.detection.box_table import BoxTable


@dataclass(frozen=True)
class Cuboids:
    """Detected or annotated boxes, upright in the ego frame."""

    sweep: Int64[Array, "box"]
    """Position of its sweep among those of the split."""
    class_index: Int64[Array, "box"]
    centre: Float64[Array, "box 3"]
    size: Float64[Array, "box 3"]
    """Length, width, height (m)."""
    yaw: Float64[Array, "box"]
    score: Float64[Array, "box"]
    """Of the detector; NaN for annotated boxes."""

    def __len__(self) -> int:
        return len(self.sweep)

    def selected(self, keep: Bool[Array, "box"] | Int64[Array, "kept"]) -> "Cuboids":
        """The boxes that ``keep`` marks or lists."""
        return Cuboids(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def detected_cuboids(boxes: BoxTable, global_from_ego: Float64[Array, "sweep 4 4"]) -> Cuboids:
    """Of a result file, whose samples count the sweeps."""
    place = _in_ego(boxes.sample, boxes.translation, boxes.yaw, global_from_ego)
    return Cuboids(boxes.sample, boxes.class_index, place[0], boxes.size[:, [1, 0, 2]], place[1], boxes.score)


def annotated_cuboids(annotated: AnnotatedKeyframes, global_from_ego: Float64[Array, "sweep 4 4"]) -> Cuboids:
    """Of what is annotated: boxes of a class that hold a point."""
    rows = np.flatnonzero((annotated.class_index >= 0) & (annotated.lidar_points > 0))
    boxes, sweep = annotated.boxes[rows], annotated.keyframe[rows]
    centre, yaw = _in_ego(sweep, boxes[:, :3], boxes[:, 6], global_from_ego)
    return Cuboids(sweep, annotated.class_index[rows], centre, boxes[:, 3:6], yaw, np.full(len(rows), np.nan))


def _in_ego(
    sweep: Int64[Array, "box"], centre: Array, yaw: Array, global_from_ego: Float64[Array, "sweep 4 4"]
) -> tuple[Float64[Array, "box 3"], Float64[Array, "box"]]:
    """Centre and yaw in the ego frame of each box's sweep."""
    ego_from_global = np.array([inverse_pose(pose) for pose in global_from_ego]).reshape(-1, 4, 4)[sweep]
    ahead = np.stack((np.cos(yaw), np.sin(yaw), np.zeros(len(yaw))), axis=1)
    centre_in_ego = np.einsum("bij,bj->bi", ego_from_global[:, :3, :3], centre) + ego_from_global[:, :3, 3]
    ahead = np.einsum("bij,bj->bi", ego_from_global[:, :3, :3], ahead)
    return centre_in_ego, np.arctan2(ahead[:, 1], ahead[:, 0])
