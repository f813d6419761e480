"""What is annotated in a scene, in columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.taxonomy import Taxonomy

LONGEST_GAP = 1.5
"""Seconds between two annotations of an object from which its velocity is told, at most, as in the nuScenes devkit."""


@dataclass(frozen=True)
class SceneBoxes:
    """The annotated boxes of a scene, sorted by moment; ``SceneBoxes.of`` makes them.

    Args:
        moment: which of the scene's moments a box belongs to: its row in ``SceneRecords``.
        boxes: ``BOX_FIELDS`` in the global frame, which is upright: centre of the box, length, width, height, yaw,
            velocity (NaN where it is unknown).
        category: index into ``categories``.
        categories: the data set's own names of what is in a box.
        track: index into ``tracks``.
        tracks: the data set's own names of the objects.
        lidar_points: LiDAR points in each as it was annotated; -1 where nobody counted.
        radar_points: as ``lidar_points``; 0 where there is no radar.
    """

    moment: Int64[Array, "box"]
    boxes: Float64[Array, "box 9"]
    category: Int64[Array, "box"]
    categories: tuple[str, ...]
    track: Int64[Array, "box"]
    tracks: tuple[str, ...]
    lidar_points: Int64[Array, "box"]
    radar_points: Int64[Array, "box"]

    @classmethod
    def of(
        cls,
        moment: Int64[Array, "box"],
        time: Int64[Array, "moment"],
        global_from_box: Float64[Array, "box 4 4"],
        size: Float64[Array, "box 3"],
        categories: Sequence[str] | Array,
        tracks: Sequence[str] | Array,
        lidar_points: Int64[Array, "box"] | None = None,
        radar_points: Int64[Array, "box"] | None = None,
    ) -> "SceneBoxes":
        """Sort boxes, and tell velocities from the same object's boxes before and after.

        Args:
            moment: of each box, in any order.
            time: of the scene's moments (microseconds).
            global_from_box: pose of each box: its centre, x along its length.
            size: length, width, height (m).
            categories: name of what is in each box.
            tracks: name of the object in each box: the same one at all moments.
            lidar_points: ``None`` where nobody counted.
            radar_points: ``None`` where nobody counted.
        """
        order = np.argsort(moment, kind="stable")
        moment, pose = moment[order], global_from_box[order]
        category_names, category = _numbered(categories)
        track_names, track = _numbered(tracks)
        yaw = np.arctan2(pose[:, 1, 0], pose[:, 0, 0])
        velocity = velocities(time[moment], pose[:, :3, 3], track[order])
        unknown = np.full(len(order), -1, np.int64)
        return cls(
            moment=moment,
            boxes=np.concatenate((pose[:, :3, 3], size[order], yaw[:, None], velocity), axis=1),
            category=category[order],
            categories=category_names,
            track=track[order],
            tracks=track_names,
            lidar_points=unknown if lidar_points is None else lidar_points[order],
            radar_points=unknown if radar_points is None else radar_points[order],
        )

    def rows_of(self, moment: int) -> range:
        """The boxes of a moment."""
        return range(*np.searchsorted(self.moment, (moment, moment + 1)).tolist())

    def classes(self, taxonomy: Taxonomy) -> Int64[Array, "box"]:
        """Index of every box's class; -1 for a category of none."""
        return np.array([taxonomy.class_of(name) for name in self.categories], np.int64)[self.category]

    def digest(self) -> str:
        """SHA-256 of all of it."""
        digest = sha256(repr((self.categories, self.tracks)).encode())
        for values in (self.moment, self.boxes, self.category, self.track, self.lidar_points, self.radar_points):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def _numbered(names: Sequence[str] | Array) -> tuple[tuple[str, ...], Int64[Array, "box"]]:
    found, number = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    return tuple(found.tolist()), number.astype(np.int64)


def velocities(
    time: Int64[Array, "box"], centre: Float64[Array, "box 3"], track: Int64[Array, "box"]
) -> Float64[Array, "box 2"]:
    """Along x and y (m/s): from the object's box before to the one after, or from or to this one at an end of a track.

    NaN for an object that is annotated once, or not within ``LONGEST_GAP``.

    Args:
        time: microseconds.
        centre: in a frame that is at rest.
        track: number of the object in each box.
    """
    order = np.lexsort((time, track))
    place, last = np.arange(len(order)), len(order) - 1
    own = track[order]
    has_before = (place > 0) & (own[place - 1] == own)
    has_after = (place < last) & (own[place + 1 - len(order)] == own)
    first, second = order[place - has_before], order[place + has_after]
    duration = (time[second] - time[first]) * 1e-6
    known = (first != second) & (duration > 0) & (duration <= LONGEST_GAP * (1 + (has_before & has_after)))
    result = np.full((len(order), 2), np.nan)
    moved = centre[second, :2] - centre[first, :2]
    result[order[known]] = moved[known] / duration[known, None]
    return result
