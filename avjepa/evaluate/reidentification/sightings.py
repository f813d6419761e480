"""When an object was seen, and between which sightings it was hidden."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import Taxonomy

_HARDLY_VISIBLE = 1
"""The level of visibility (nuScenes: up to 40 % of the object) at which an object counts as hidden."""


@dataclass(frozen=True)
class Sightings:
    """Every keyframe at which an object is visible, by scene, kind, object and time.

    Visible is a box that holds ``k`` LiDAR points or more and whose level of visibility is not the lowest; hidden one
    that holds none, or is at the lowest level, or an object that is not annotated at a keyframe. A box with fewer
    than ``k`` points is neither. Radar points do not count: returns of what stands before an object fall into its box
    too. Where nobody counted, the level of visibility decides; a level that is not known hides nothing.
    """

    tokens: tuple[str, ...]
    """Of all keyframes."""
    scenes: tuple[str, ...]
    kinds: tuple[str, ...]
    """What objects can be: the classes of the taxonomy, then the data set's categories, for objects of no class."""
    classes: int
    """How many of ``kinds`` are classes."""
    scene: Int64[Array, "sighting"]
    """Index into ``scenes``."""
    kind: Int64[Array, "sighting"]
    """Index into ``kinds``; an object has that of its first box."""
    object: Int64[Array, "sighting"]
    """Objects numbered from 0, ascending."""
    track: Int64[Array, "sighting"]
    """See ``AnnotatedKeyframes``."""
    keyframe: Int64[Array, "sighting"]
    """Index into ``tokens``."""
    time: Float64[Array, "sighting"]
    """In seconds."""
    boxes: Float64[Array, "sighting 9"]
    """``geometry.boxes.BOX_FIELDS`` in the global frame."""
    points: Int64[Array, "sighting"]
    """LiDAR points in the box; -1 where nobody counted."""
    distance: Float64[Array, "sighting"]
    """From the ego vehicle (m); NaN where nobody knows."""
    speed: Float64[Array, "sighting"]
    """As annotated (m/s); NaN where nobody knows."""
    was_hidden: Bool[Array, "sighting"]
    """Whether the object was hidden at a keyframe, at least, since its last sighting."""
    opens_scene: Bool[Array, "sighting"]
    """Whether the keyframe is the first one of its scene."""

    def __len__(self) -> int:
        return len(self.object)

    def has_earlier(self) -> Bool[Array, "sighting"]:
        """Whether the object was sighted before; its last sighting is the row above."""
        same: Array = np.diff(self.object, prepend=-1) == 0
        return same

    def selected(self, keep: Bool[Array, "sighting"]) -> "Sightings":
        """The sightings for which ``keep`` is true: an object was hidden between two of them if it was on the way."""
        before = np.cumsum(self.was_hidden)[keep]
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen = {name: column[keep] for name, column in columns.items() if isinstance(column, np.ndarray)}
        result = Sightings(**(columns | chosen))
        was_hidden = result.has_earlier() & (np.diff(before, prepend=0) > 0)
        number = np.cumsum(~result.has_earlier()) - 1
        return replace(result, was_hidden=was_hidden, object=number)

    @classmethod
    def of(cls, annotated: AnnotatedKeyframes, taxonomy: Taxonomy, minimum_points: int) -> "Sightings":
        """The sightings in some annotated keyframes.

        Args:
            annotated: all keyframes of some scenes.
            taxonomy: of ``annotated.class_index``.
            minimum_points: the ``k`` of "visible".
        """
        scene = annotated.scene[annotated.keyframe]
        rows = np.lexsort((annotated.keyframe, annotated.track, scene))
        key = np.stack((annotated.track, annotated.keyframe))[:, rows]
        rows = rows[np.r_[True, (np.diff(key) != 0).any(0)][: len(rows)]]  # an object has one box in a keyframe
        first = np.diff(np.stack((scene, annotated.track))[:, rows], prepend=-1).any(0)
        owner = np.cumsum(first) - 1
        classes = len(taxonomy.classes)
        kind = np.where(annotated.class_index < 0, classes + annotated.category, annotated.class_index)
        kind_of_owner = kind[rows[first]]

        points, level = annotated.lidar_points[rows], annotated.visibility[rows]
        visible = (level != _HARDLY_VISIBLE) & np.where(points < 0, level > 0, points >= minimum_points)
        hidden = (level == _HARDLY_VISIBLE) | (points == 0)
        hidden_so_far = np.cumsum(hidden)
        seen = np.flatnonzero(visible)
        keyframe = annotated.keyframe[rows]
        again = np.diff(owner[seen], prepend=-1) == 0
        between = np.diff(seen, prepend=-1) - 1
        unannotated = np.diff(keyframe[seen], prepend=-1) - 1 - between
        was_hidden = again & (np.diff(hidden_so_far[seen], prepend=0) + unannotated > 0)

        order = np.lexsort((keyframe[seen], owner[seen], kind_of_owner[owner[seen]], scene[rows[seen]]))
        seen, was_hidden = seen[order], was_hidden[order]
        box = rows[seen]
        at = keyframe[seen]
        vehicle = annotated.vehicle[at]
        opens_scene = np.diff(annotated.scene, prepend=-1) != 0
        return cls(
            tokens=annotated.tokens,
            scenes=annotated.scenes,
            kinds=(*taxonomy.classes, *annotated.categories),
            classes=classes,
            scene=scene[box],
            kind=kind_of_owner[owner[seen]],
            object=np.cumsum(np.diff(owner[seen], prepend=-1) != 0) - 1,
            track=annotated.track[box],
            keyframe=at,
            time=annotated.time[at] * 1e-6,
            boxes=annotated.boxes[box],
            points=annotated.lidar_points[box],
            distance=np.hypot(*(annotated.boxes[box, :2] - vehicle).T),
            speed=np.hypot(*annotated.boxes[box, 7:9].T),
            was_hidden=was_hidden,
            opens_scene=opens_scene[at],
        )
