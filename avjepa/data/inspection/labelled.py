"""The annotated boxes of a data set with how their objects really move, and where they stand seen from the vehicle."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import AnnotatedKeyframes, DrivingDataset
from avjepa.geometry.transforms import inverse

_LONGEST_STEP = 1_500_000  # microseconds between two sightings that tell of a velocity
_KEYFRAMES = 2000


@dataclass(frozen=True)
class LabelledBoxes:
    """Boxes of some keyframes, spread evenly over a data set."""

    annotated: AnnotatedKeyframes
    """All that is annotated, in the global frame."""
    motion: Float64[Array, "box 2"]
    """Velocity of every box by the positions of its track before and after (m/s); NaN where there are none."""
    vehicle_heading: Float64[Array, "keyframe"]
    """Yaw of the level frame in the world (rad); NaN for keyframes that were not looked at."""
    level: Float64[Array, "box 2"]
    """Centres in the level frame (m); NaN in keyframes that were not looked at."""
    strangers: tuple[str, ...]
    """Names of moments that are keyframes, and that ``annotated`` does not know."""

    @classmethod
    def of(cls, dataset: DrivingDataset) -> "LabelledBoxes":
        """Gather them; no sensor file is opened.

        Raises:
            UserError: the annotations are missing or broken.
        """
        annotated = dataset.annotated_keyframes(dataset.scenes_of(None))
        position = {token: place for place, token in enumerate(annotated.tokens)}
        order = np.argsort(annotated.keyframe, kind="stable")
        first = np.searchsorted(annotated.keyframe[order], np.arange(len(position) + 1))
        heading = np.full(len(position), np.nan)
        level = np.full((len(annotated.boxes), 2), np.nan)
        strangers = []
        moments = dataset.moments(keyframes_only=True)
        for moment in moments[spread(len(moments), _KEYFRAMES)].tolist():
            token = dataset.token_of(moment)
            if token not in position:
                strangers.append(token)
                continue
            keyframe = position[token]
            pose = dataset.global_from_level(moment)
            heading[keyframe] = np.arctan2(float(pose[1, 0]), float(pose[0, 0]))
            rows = order[first[keyframe] : first[keyframe + 1]]
            level_from_global = inverse(pose).numpy()
            level[rows] = (annotated.boxes[rows, :3] @ level_from_global[:3, :3].T + level_from_global[:3, 3])[:, :2]
        return cls(annotated, _motion(annotated), heading, level, tuple(strangers))


def spread(count: int, at_most: int) -> Int64[Array, "chosen"]:
    """Positions of at most so many of ``count`` things, evenly over all of them."""
    if count <= at_most:
        return np.arange(count)
    positions: Array = np.linspace(0, count - 1, at_most).astype(np.int64)
    return positions


def _motion(annotated: AnnotatedKeyframes) -> Float64[Array, "box 2"]:
    """From the sighting before to the one after; at the ends of a track from or to the box itself."""
    time = annotated.time[annotated.keyframe]
    order = np.lexsort((time, annotated.track))
    place = np.arange(len(order))
    track, time, centre = annotated.track[order], time[order], annotated.boxes[order, :2]
    linked = (track[1:] == track[:-1]) & (np.diff(time) > 0) & (np.diff(time) <= _LONGEST_STEP)
    before, after = place.copy(), place.copy()
    before[1:][linked] -= 1
    after[:-1][linked] += 1
    seconds = (time[after] - time[before]) * 1e-6
    motion = np.full((len(order), 2), np.nan)
    known = seconds > 0
    motion[order[known]] = (centre[after] - centre[before])[known] / seconds[known, None]
    return motion
