"""The sightings that a file of embeddings tells of."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import DrivingDataset
from avjepa.evaluate.pairs import expanded
from avjepa.evaluate.reidentification.methods import Embeddings
from avjepa.evaluate.reidentification.result_file import EmbeddingFile
from avjepa.evaluate.reidentification.sightings import Sightings

MATCHED_WITHIN = 2.0
"""Metres on the ground within which a detected box is taken for an annotated one, as in the detection score."""


def has_detected_boxes(file: EmbeddingFile) -> bool:
    """Whether the boxes of a file were found by a detector: none of them names an object."""
    return bool(file.tracks) and all(track is None for track in file.tracks)


def sightings_of_file(
    sightings: Sightings, file: EmbeddingFile, source: DrivingDataset
) -> tuple[Sightings, Embeddings]:
    """The sightings that are scored with a file, and their embeddings.

    If the file's boxes name their objects, those are all sightings; one that the file does not hold has no embedding.
    If the boxes were detected, they are those that a box of their class was detected at, with the detected box in the
    place of the annotated one; what was not detected was not seen.

    Args:
        sightings: of the file's keyframes.
        file: the embeddings.
        source: names the objects.

    Raises:
        UserError: the file lists other keyframes.
    """
    keyframe = file.keyframe_among(sightings.tokens)
    if has_detected_boxes(file):
        box = _matched(sightings, file, keyframe)
        seen = box >= 0
        found = sightings.selected(seen)
        return replace(found, boxes=file.boxes[box[seen]]), file.embeddings[box[seen]]
    tracks = {source.track_name(int(track)): int(track) for track in np.unique(sightings.track)}
    row_of = {
        key: row for row, key in enumerate(zip(sightings.keyframe.tolist(), sightings.track.tolist(), strict=True))
    }
    embeddings = np.full((len(sightings), file.embeddings.shape[1]), np.nan, np.float32)
    for number, (at, name) in enumerate(zip(keyframe.tolist(), file.tracks, strict=True)):
        if name is not None and (row := row_of.get((at, tracks.get(name, -1)))) is not None:
            embeddings[row] = file.embeddings[number]
    return sightings, embeddings


def _matched(sightings: Sightings, file: EmbeddingFile, keyframe: Int64[Array, "box"]) -> Int64[Array, "sighting"]:
    """The detected box of each sighting, -1 where there is none: the nearest pairs first, each box once."""
    kinds = len(sightings.kinds)
    order = np.lexsort((file.class_index, keyframe))
    group = (keyframe * kinds + file.class_index)[order]
    wanted = sightings.keyframe * kinds + sightings.kind
    first, behind = (np.searchsorted(group, wanted, side=side) for side in ("left", "right"))
    row, box = expanded(first, behind - first)
    box = order[box]
    away = np.hypot(*(sightings.boxes[row, :2] - file.boxes[box, :2]).T)
    near = np.flatnonzero(away < MATCHED_WITHIN)
    result = np.full(len(sightings), -1, np.int64)
    taken = np.zeros(len(file.boxes), np.bool_)
    for pair in near[np.argsort(away[near], kind="stable")].tolist():
        if result[row[pair]] < 0 and not taken[box[pair]]:
            result[row[pair]], taken[box[pair]] = box[pair], True
    return result
