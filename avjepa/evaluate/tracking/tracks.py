"""The boxes of a file of embeddings, followed through the scenes of a split."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.tracking.tracker import Moment, Tracker, TrackerOptions
from avjepa.progress import with_bar

_DOUBLE = 2.0
"""Metres within which two boxes of a class may be two detections of one object."""


@dataclass(frozen=True)
class Keyframes:
    """All keyframes of some scenes, in order of scene and time."""

    tokens: tuple[str, ...]
    time: Float64[Array, "keyframe"]
    """In seconds."""
    scene: Int64[Array, "keyframe"]


@dataclass(frozen=True)
class Tracks:
    """Boxes that are of objects, by keyframe."""

    tokens: tuple[str, ...]
    """Of all keyframes."""
    keyframe: Int64[Array, "box"]
    """Index into ``tokens``; ascending."""
    boxes: Float64[Array, "box 9"]
    """``geometry.boxes.BOX_FIELDS`` in the global frame; the velocity is that of the object's motion so far."""
    classes: tuple[str, ...]
    class_index: Int64[Array, "box"]
    """Index into ``classes``."""
    track: Int64[Array, "box"]
    """Number of the object, which no other one has in any scene."""
    score: Float64[Array, "box"]
    """Mean of the object's boxes so far, from 0 to 1."""


def tracked(
    file: EmbeddingFile,
    keyframes: Keyframes,
    classes: Sequence[str],
    followed: Sequence[str],
    options: TrackerOptions,
    with_embedding: bool,
    temperature: float,
) -> Tracks:
    """Follow the boxes of a file.

    Args:
        file: boxes with scores; one without a score counts as certain.
        keyframes: of the split; the file has to list all of them and no others.
        classes: of the taxonomy.
        followed: those of them that are tracked.
        options: of the tracker.
        with_embedding: whether looks count; else motion alone.
        temperature: divides the cosine of two embeddings, which then is a log-likelihood.

    Raises:
        UserError: the file lists other keyframes.
    """
    keyframe = file.keyframe_among(keyframes.tokens)
    scores = np.clip(np.nan_to_num(file.scores, nan=1.0), 0.0, 1.0)
    wanted = np.isin(file.class_index, [classes.index(name) for name in followed])
    used = np.flatnonzero(wanted & (scores >= options.lowest_score))
    used = used[np.lexsort((used, file.class_index[used], keyframe[used]))]
    keyframe, class_index, scores, boxes = keyframe[used], file.class_index[used], scores[used], file.boxes[used]
    looks = file.embeddings[used] if with_embedding else np.zeros((len(used), 0), np.float32)
    unlike = _unlike(keyframes, keyframe, class_index, boxes, looks, temperature)
    number, mean_score, velocity = np.full(len(used), -1), np.zeros(len(used)), np.zeros((len(used), 2))
    following = 0
    for scene in with_bar(np.unique(keyframes.scene), "tracking scenes"):
        of_scene = np.flatnonzero(keyframes.scene == scene)
        for kind in np.unique(class_index[np.isin(keyframe, of_scene)]):
            tracker = Tracker(options, temperature, following)
            previous = -math.inf
            for at in of_scene:
                low, high = np.searchsorted(keyframe, (at, at + 1))
                rows = low + np.flatnonzero(class_index[low:high] == kind)
                time = float(keyframes.time[at])
                moment = Moment(time, previous, boxes[rows], scores[rows], looks[rows], float(unlike[at]))
                number[rows], mean_score[rows], velocity[rows] = tracker.step(moment)
                previous = time
            following = tracker.following
    of_object = number >= 0
    return Tracks(
        tokens=keyframes.tokens,
        keyframe=keyframe[of_object],
        boxes=np.concatenate((boxes[:, :7], velocity), axis=1)[of_object],
        classes=tuple(classes),
        class_index=class_index[of_object],
        track=number[of_object],
        score=mean_score[of_object],
    )


def _unlike(
    keyframes: Keyframes,
    keyframe: Int64[Array, "box"],
    class_index: Int64[Array, "box"],
    boxes: Float64[Array, "box 9"],
    looks: Float32[Array, "box dimension"],
    temperature: float,
) -> Float64[Array, "keyframe"]:
    """By keyframe, the logarithm of the mean likelihood that one object is another one.

    Two boxes of a class at one keyframe, further apart than double detections are, are two objects: the mean is over
    all such pairs of the scene up to the keyframe. Where there was none, an object is as likely itself as another one.
    """
    result = np.zeros(len(keyframes.tokens))
    total, count, scene = -math.inf, 0, -1
    for at in range(len(keyframes.tokens)):
        if keyframes.scene[at] != scene:
            total, count, scene = -math.inf, 0, int(keyframes.scene[at])
        rows = slice(*np.searchsorted(keyframe, (at, at + 1)))
        away = np.hypot(*(boxes[rows, None, :2] - boxes[None, rows, :2]).transpose(2, 0, 1))
        two = np.triu((class_index[rows, None] == class_index[None, rows]) & (away > _DOUBLE))
        alike = (looks[rows] @ looks[rows].T)[two].astype(np.float64) / temperature
        total = float(np.logaddexp.reduce(alike, initial=total))
        count += len(alike)
        result[at] = total - math.log(count) if count else 0.0
    return result
