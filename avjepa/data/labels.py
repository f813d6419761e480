"""What is annotated at a keyframe, and boxes that a model is asked about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """The annotated objects of one keyframe, in the BEV frame."""

    boxes: Float[Tensor, "box 9"]
    """Columns: ``geometry.boxes.BOX_FIELDS``."""
    class_index: Int64[Tensor, "box"]
    """Index into ``Taxonomy.classes``; boxes of categories without a class are not listed."""
    lidar_points: Int64[Tensor, "box"]
    """Number of LiDAR points in the box; -1 where nobody knows."""
    radar_points: Int64[Tensor, "box"]
    """Number of radar points in the box; -1 where nobody knows."""
    visibility: Int64[Tensor, "box"]
    """nuScenes visibility level 1-4; 0 where the data set does not say."""
    track_ids: Int64[Tensor, "box"]
    """Which object of the data set a box is of: an object keeps its number within a scene, and no other object has it.
    A copy that was pasted in is on no track: it has ``~t``, which is negative, if t is the number of its original."""

    @classmethod
    def none(cls) -> "Labels":
        """No box."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(torch.zeros(0, 9), nothing, nothing, nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.track_ids)

    def with_points(self, minimum: int = 1) -> Bool[Tensor, "box"]:
        """Which boxes hold at least so many LiDAR and radar points together, or may: where nobody knows, they count."""
        unknown = (self.lidar_points < 0) | (self.radar_points < 0)
        points = self.lidar_points.clamp(min=0) + self.radar_points.clamp(min=0)
        return (points >= minimum) | (unknown & (points == 0))

    def selected(self, keep: Bool[Tensor, "box"]) -> "Labels":
        """The boxes for which ``keep`` is true."""
        return Labels(
            self.boxes[keep], self.class_index[keep], self.lidar_points[keep], self.radar_points[keep],
            self.visibility[keep], self.track_ids[keep],
        )  # fmt: skip


@dataclass(frozen=True)
class BoxQueries:
    """Boxes of one moment that a model is asked about: annotated ones, or those that a detector found."""

    boxes: Float[Tensor, "box 9"]
    """In the BEV frame; columns: ``geometry.boxes.BOX_FIELDS``."""
    class_index: Int64[Tensor, "box"]
    """Index into ``Taxonomy.classes``."""
    scores: Float[Tensor, "box"]
    """Of the detector; NaN for annotated boxes."""
    tracks: tuple[str | None, ...]
    """The data set's own names of the objects (``DrivingDataset.track_name``); ``None`` where nobody knows."""

    def __len__(self) -> int:
        return len(self.tracks)

    @classmethod
    def annotated(cls, labels: Labels, track_name: Callable[[int], str]) -> "BoxQueries":
        """The annotated boxes that hold a LiDAR or radar point, or may."""
        seen = labels.selected(labels.with_points())
        unscored = torch.full((len(seen),), torch.nan)
        return cls(seen.boxes, seen.class_index, unscored, tuple(map(track_name, seen.track_ids.tolist())))


BoxQueriesOf: TypeAlias = Callable[[int], BoxQueries]
"""Gives the queries at a keyframe, by its number in the data set, in the level frame."""
