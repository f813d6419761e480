"""Files of embeddings that are written out by hand, and how they are followed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.tracking.tracker import TrackerOptions
from avjepa.evaluate.tracking.tracks import Keyframes, Tracks, tracked

CLASSES = ("car", "barrier", "pedestrian")
FOLLOWED = ("car", "pedestrian")
RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Found:
    """A detected box; its velocity is not known unless it is said."""

    x: float
    y: float = 0.0
    look: tuple[float, float, float] = RED
    score: float = 0.9
    kind: str = "car"
    velocity: tuple[float, float] = (math.nan, math.nan)


def keyframes(*lengths: int) -> Keyframes:
    """Of scenes of so many keyframes, half a second apart: ``k0``, ``k1`` ..."""
    total = sum(lengths)
    scene = np.repeat(np.arange(len(lengths)), lengths)
    return Keyframes(tuple(f"k{number}" for number in range(total)), np.arange(total) * 0.5, scene)


def file_of(found: Mapping[int, Sequence[Found]], total: int) -> EmbeddingFile:
    """A file that lists ``total`` keyframes and holds some boxes, by keyframe."""
    boxes = [(at, box) for at, several in found.items() for box in several]
    return EmbeddingFile(
        path=Path("by hand"),
        sensors=("lidar",),
        temperature=None,
        tokens=tuple(f"k{number}" for number in range(total)),
        keyframe=np.array([at for at, _ in boxes], np.int64),
        boxes=np.array([(b.x, b.y, 0.5, 4.0, 2.0, 1.5, 0.0, *b.velocity) for _, b in boxes], float).reshape(-1, 9),
        class_index=np.array([CLASSES.index(box.kind) for _, box in boxes], np.int64),
        tracks=(None,) * len(boxes),
        scores=np.array([box.score for _, box in boxes], float),
        embeddings=np.array([box.look for _, box in boxes], np.float32).reshape(-1, 3),
    )


def followed(
    found: Mapping[int, Sequence[Found]],
    lengths: Sequence[int] = (20,),
    options: TrackerOptions = TrackerOptions(),  # noqa: B008  # frozen
    with_embedding: bool = True,
) -> Tracks:
    """The tracks of what was found."""
    file = file_of(found, sum(lengths))
    return tracked(file, keyframes(*lengths), CLASSES, FOLLOWED, options, with_embedding, temperature=0.1)


def numbers(tracks: Tracks) -> dict[int, list[int]]:
    """The objects at each keyframe, in the order in which the boxes were found."""
    result: dict[int, list[int]] = {}
    for at, number in zip(tracks.keyframe.tolist(), tracks.track.tolist(), strict=True):
        result.setdefault(at, []).append(number)
    return result
