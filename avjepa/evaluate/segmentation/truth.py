"""What segmentations are scored against."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.labels import Labels
from avjepa.data.map_mask import MapMask
from avjepa.data.protocol import AnnotatedKeyframes, DrivingDataset
from avjepa.errors import UserError
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import inverse
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.targets import SegmentationTargets, segmentation_targets


@dataclass(frozen=True)
class SegmentationTruth:
    """The maps of some scenes' keyframes, made one by one. Opens no sensor file.

    Attributes:
        classes: those that the data set can tell of.
        tokens: of the keyframes of which something was recorded; of others nobody knows where the vehicle was.
        notes: what was left out, and why.
    """

    classes: SegmentedClasses | None
    tokens: tuple[str, ...]
    notes: tuple[str, ...]
    _source: DrivingDataset
    _moments: Int64[Array, "keyframe"]
    _masks: dict[str, MapMask]
    _annotated: AnnotatedKeyframes | None

    @classmethod
    def of(cls, source: DrivingDataset, scenes: list[str], classes: SegmentedClasses) -> "SegmentationTruth":
        """Open what scenes are scored with: their map masks and annotations, as far as they are there.

        Raises:
            UserError: the annotations are broken.
        """
        moments = source.moments(scenes, keyframes_only=True)
        notes, masks, annotated = [], {}, None
        drivable_area, objects = classes.drivable_area, classes.objects
        if drivable_area:
            try:
                masks = {scene: source.map_mask(scene) for scene in scenes}
            except UserError as error:
                drivable_area = False
                notes.append(f"drivable_area is not scored: {error}")
        if objects and source.has_labels():
            annotated = source.annotated_keyframes(scenes)
        elif objects:
            objects = {}
            notes.append(f"{', '.join(classes.objects)}: not scored, since the dataset has no annotations")
        left = replace(classes, drivable_area=drivable_area, objects=objects) if drivable_area or objects else None
        tokens = tuple(source.token_of(int(moment)) for moment in moments)
        return cls(left, tokens, tuple(notes), source, moments, masks, annotated)

    @property
    def scenes(self) -> Iterator[str]:
        """Name of the scene of each keyframe, in the order of ``tokens``."""
        return (self._source.scene_of(moment) for moment in self._moments.tolist())

    def maps(self, grid: BEVGrid) -> Iterator[SegmentationTargets]:
        """The truth of every keyframe, in the order of ``tokens``, as of ``at``."""
        return (self.at(moment, grid) for moment in self._moments.tolist())

    def at(self, moment: int, grid: BEVGrid) -> SegmentationTargets:
        """The truth of a keyframe on a grid of its level frame, as a batch of one."""
        assert self.classes is not None, "there is nothing to score"
        global_from_level = self._source.global_from_level(moment)
        drivable: UInt8[Tensor, "1 y x"] | None = None
        if self.classes.drivable_area:
            drivable = self._masks[self._source.scene_of(moment)].on_grid(grid, global_from_level)[None]
        labels = self._labels(self._source.token_of(moment), global_from_level)
        names = self._source.taxonomy.classes
        return segmentation_targets(self.classes, names, grid, (labels,), drivable, torch.device("cpu"))

    def _labels(self, token: str, global_from_level: Float64[Tensor, "4 4"]) -> Labels:
        """The boxes of a keyframe in its level frame."""
        annotated = self._annotated
        if annotated is None:
            return Labels.none()
        rows = np.flatnonzero((annotated.keyframe == annotated.tokens.index(token)) & (annotated.class_index >= 0))
        boxes = transform_boxes(inverse(global_from_level), torch.from_numpy(annotated.boxes[rows]))
        columns = (annotated.class_index, annotated.lidar_points, annotated.radar_points, annotated.visibility)
        class_index, lidar_points, radar_points, visibility = (torch.from_numpy(column[rows]) for column in columns)
        return Labels(
            boxes.float(), class_index, lidar_points, radar_points, visibility, torch.full_like(class_index, -1)
        )
