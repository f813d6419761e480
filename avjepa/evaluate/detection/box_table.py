"""Boxes of many samples as columns, for the vectorised evaluator."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.utils.data_classes import Box
from nuscenes.utils.geometry_utils import points_in_box
from pyquaternion import Quaternion

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.schema import ATTRIBUTES, CLASSES

if TYPE_CHECKING:
    from nuscenes import NuScenes

NO_ATTRIBUTE = -1
BICYCLE_RACK = "static_object.bicycle_rack"
_CLASS_INDEX = {name: index for index, name in enumerate(CLASSES)}
_ATTRIBUTE_INDEX = {"": NO_ATTRIBUTE} | {name: index for index, name in enumerate(ATTRIBUTES)}


@dataclass(frozen=True)
class BoxTable:
    """Annotated or predicted boxes in the global frame, ordered by sample as they were read."""

    sample: Int64[Array, "box"]
    """Position of the sample in the list of tokens the table was made for."""
    class_index: Int64[Array, "box"]
    """Index into ``data.nuscenes.schema.CLASSES``."""
    translation: Float[Array, "box 3"]
    size: Float[Array, "box 3"]
    """Width, length, height (m)."""
    yaw: Float[Array, "box"]
    velocity: Float[Array, "box 2"]
    attribute: Int64[Array, "box"]
    """Index into ``data.nuscenes.schema.ATTRIBUTES``, or ``NO_ATTRIBUTE``."""
    score: Float[Array, "box"]

    def __len__(self) -> int:
        return len(self.sample)

    def selected(self, keep: Bool[Array, "box"] | Int64[Array, "kept"]) -> "BoxTable":
        """The boxes that ``keep`` marks or lists."""
        return BoxTable(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def with_samples(self, sample: Int64[Array, "box"]) -> "BoxTable":
        """The same boxes with ``sample`` counting another list of tokens."""
        return replace(self, sample=sample)


def yaw_of(wxyz: Float[Array, "box 4"]) -> Float[Array, "box"]:
    """Headings in the plane (rad) of quaternions of any length."""
    w, x, y, z = (wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)).T
    return np.asarray(np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z)))


def _table(
    sample: list[int], class_index: list[int], attribute: list[int], score: list[float], entries: Sequence[Any],
    velocity: Float[Array, "box 2"],
) -> BoxTable:  # fmt: skip
    def column(name: str, width: int) -> Float[Array, "box _"]:
        return np.array([entry[name] for entry in entries], np.float64).reshape(-1, width)

    return BoxTable(
        np.array(sample, np.int64), np.array(class_index, np.int64), column("translation", 3), column("size", 3),
        yaw_of(column("rotation", 4)), velocity, np.array(attribute, np.int64), np.array(score, np.float64),
    )  # fmt: skip


def annotated_boxes(nusc: "NuScenes", sample_tokens: Sequence[str]) -> BoxTable:
    """Annotations of the detection classes that hold at least one LiDAR or radar point."""
    attributes = {row["token"]: _ATTRIBUTE_INDEX[row["name"]] for row in nusc.attribute}
    sample, class_index, attribute, entries = [], [], [], []
    for index, token in enumerate(sample_tokens):
        for annotation_token in nusc.get("sample", token)["anns"]:
            entry = nusc.get("sample_annotation", annotation_token)
            name = category_to_detection_name(entry["category_name"])
            if name is None or entry["num_lidar_pts"] + entry["num_radar_pts"] == 0:
                continue
            sample.append(index)
            class_index.append(_CLASS_INDEX[name])
            tokens = entry["attribute_tokens"]
            attribute.append(attributes[tokens[0]] if tokens else NO_ATTRIBUTE)
            entries.append(entry)
    velocity = np.array([nusc.box_velocity(entry["token"])[:2] for entry in entries], np.float64).reshape(-1, 2)
    return _table(sample, class_index, attribute, [-1.0] * len(entries), entries, velocity)


@dataclass(frozen=True)
class EvaluationRegion:
    """Where boxes count: within a class's range of the ego vehicle, and cycles only outside bicycle racks."""

    ego_xy: Float[Array, "sample 2"]
    racks: dict[int, list[Box]]
    """Bicycle racks by sample."""
    class_range: Float[Array, "class"]

    @classmethod
    def of(cls, nusc: "NuScenes", sample_tokens: Sequence[str], class_range: dict[str, int]) -> "EvaluationRegion":
        """The region of a split; ``class_range`` in metres."""
        ego, racks = [], {}
        for index, token in enumerate(sample_tokens):
            sample = nusc.get("sample", token)
            lidar = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
            ego.append(nusc.get("ego_pose", lidar["ego_pose_token"])["translation"][:2])
            annotations = (nusc.get("sample_annotation", annotation) for annotation in sample["anns"])
            boxes = [
                Box(row["translation"], row["size"], Quaternion(row["rotation"]))
                for row in annotations
                if row["category_name"] == BICYCLE_RACK
            ]
            if boxes:
                racks[index] = boxes
        ranges = np.array([class_range[name] for name in CLASSES], np.float64)
        return cls(np.array(ego, np.float64).reshape(-1, 2), racks, ranges)

    def inside(self, boxes: BoxTable) -> BoxTable:
        """The boxes that count."""
        offset = boxes.translation[:, :2] - self.ego_xy[boxes.sample]
        keep = np.sqrt((offset**2).sum(1)) < self.class_range[boxes.class_index]
        cycles = np.isin(boxes.class_index, (_CLASS_INDEX["bicycle"], _CLASS_INDEX["motorcycle"]))
        for index, racks in self.racks.items():
            (at,) = np.nonzero(cycles & (boxes.sample == index))
            for rack in racks:
                keep[at] &= ~points_in_box(rack, boxes.translation[at].T)
        return boxes.selected(keep)
