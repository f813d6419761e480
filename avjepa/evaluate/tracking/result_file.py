"""Official files of the nuScenes tracking task, which anyone may have written.

``results`` lists every sample with its boxes: where and how large they are in the global frame, their velocity on the
ground, and ``tracking_id``, ``tracking_name`` (one of seven classes) and ``tracking_score``.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError, counted
from avjepa.evaluate.reidentification.result_file import require_no_repetition
from avjepa.evaluate.tracking.tracks import Tracks
from avjepa.files import read_text, replacing

FILE_NAME = "tracking.json"
CLASSES = ("bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck")
"""Of the nuScenes tracking task."""
MOST_BOXES = 500
"""Of a sample, in an official file."""
SENSORS = ("camera", "lidar", "radar", "map", "external")
_MOST_BYTES = 1 << 32
_LARGEST = 1e9
_SMALLEST_ROTATION = 1e-6


def tracking_classes(taxonomy: Taxonomy) -> tuple[str, ...]:
    """The classes of a taxonomy that the tracking task knows.

    Raises:
        UserError: there is none.
    """
    known = tuple(name for name in taxonomy.classes if name in CLASSES)
    if not known:
        raise UserError(f"taxonomy: none of its classes is one of the tracking task ({', '.join(CLASSES)}); use others")
    return known


def write_tracks(path: Path, tracks: Tracks, sensors: Sequence[str]) -> None:
    """Write an official file, whole or not at all; of a sample with more than ``MOST_BOXES``, those that score best.

    Args:
        path: replaced if it is there.
        tracks: of the classes of the tracking task.
        sensors: of ``SENSORS``: what the boxes were made from.
    """
    meta = {f"use_{name}": name in sensors for name in SENSORS}
    ends = np.searchsorted(tracks.keyframe, np.arange(len(tracks.tokens) + 1))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{{"meta": {json.dumps(meta)}, "results": {{')
        for number, token in enumerate(tracks.tokens):
            rows = np.arange(ends[number], ends[number + 1])
            rows = np.sort(rows[np.argsort(-tracks.score[rows], kind="stable")[:MOST_BOXES]])
            boxes = [_official(tracks, token, row) for row in rows.tolist()]
            file.write(f"{', ' if number else ''}{json.dumps(token)}: {json.dumps(boxes)}")
        file.write("}}\n")


def _official(tracks: Tracks, token: str, row: int) -> dict[str, object]:
    x, y, z, length, width, height, yaw, velocity_x, velocity_y = tracks.boxes[row].tolist()
    return {
        "sample_token": token,
        "translation": [x, y, z],
        "size": [width, length, height],
        "rotation": [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)],
        "velocity": [velocity_x, velocity_y],
        "tracking_id": str(tracks.track[row]),
        "tracking_name": tracks.classes[tracks.class_index[row]],
        "tracking_score": float(tracks.score[row]),
    }


_Number = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
_Side = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]


class _Box(msgspec.Struct, forbid_unknown_fields=True):
    sample_token: str
    translation: tuple[_Number, _Number, _Number]
    size: tuple[_Side, _Side, _Side]
    rotation: tuple[_Number, _Number, _Number, _Number]
    velocity: tuple[_Number, _Number]
    tracking_id: Annotated[str, msgspec.Meta(min_length=1)]
    tracking_name: Literal["bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck"]
    tracking_score: _Number
    ego_translation: tuple[_Number, _Number, _Number] | None = None  # in the devkit's own files; computed anew
    num_pts: Literal[-1] = -1  # of annotations; the devkit drops a box with 0 unseen


class _File(msgspec.Struct, forbid_unknown_fields=True):
    meta: dict[str, bool]
    results: dict[str, msgspec.Raw]


@dataclass(frozen=True)
class TrackFile:
    """The tracks of a file, keyframes in its order."""

    path: Path
    tracks: Tracks
    sensors: tuple[str, ...]
    """Of ``SENSORS``: what the boxes were made from, as far as the file says."""

    def arranged(self, tokens: tuple[str, ...]) -> Tracks:
        """The tracks with keyframes in the order of a split, still in the file's order within each.

        Raises:
            UserError: the file lists other samples.
        """
        if different := set(tokens) ^ set(self.tracks.tokens):
            raise UserError(
                f"{self.path}: its samples are not those of the split ({counted(len(different), 'sample')} in one of "
                "the two only); track this split of this dataset again"
            )
        place = {token: number for number, token in enumerate(tokens)}
        keyframe = np.array([place[token] for token in self.tracks.tokens], np.int64)[self.tracks.keyframe]
        order = np.argsort(keyframe, kind="stable")
        columns = {name: getattr(self.tracks, name)[order] for name in ("boxes", "class_index", "track", "score")}
        return replace(self.tracks, tokens=tokens, keyframe=keyframe[order], **columns)


def read_tracks(path: Path, taxonomy: Taxonomy) -> TrackFile:
    """Read and check an official file of the tracking task.

    Args:
        path: the file.
        taxonomy: says which of the seven classes there are.

    Raises:
        UserError: there is no such file, it is not of this format, a number is NaN, infinite or absurd, a class is
            unknown, an object has two boxes in a sample, or a sample has more than ``MOST_BOXES``.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; track the split first")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 30} GiB")
        text = read_text(path)
        require_no_repetition(text)
        return _checked(path, msgspec.json.decode(text, type=_File), taxonomy)
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: no nuScenes tracking result ({reason}); track again, or mend the file") from None


def _checked(path: Path, file: _File, taxonomy: Taxonomy) -> TrackFile:
    decoder = msgspec.json.Decoder(list[_Box])
    numbers: dict[str, int] = {}
    keyframe: list[int] = []
    boxes: list[_Box] = []
    for place, (token, raw) in enumerate(file.results.items()):
        try:
            listed = decoder.decode(raw)
            _require_sample(listed, token, taxonomy)
        except ValueError as error:
            raise ValueError(f"sample {token!r:.60}: {error}") from None
        keyframe += [place] * len(listed)
        boxes += listed
    for box in boxes:
        numbers.setdefault(box.tracking_id, len(numbers))
    w, x, y, z = np.array([box.rotation for box in boxes], np.float64).reshape(-1, 4).T
    yaw = np.arctan2(2 * (x * y + w * z), w * w + x * x - y * y - z * z)
    width, length, height = np.array([box.size for box in boxes], np.float64).reshape(-1, 3).T
    centre = np.array([box.translation for box in boxes], np.float64).reshape(-1, 3)
    velocity = np.array([box.velocity for box in boxes], np.float64).reshape(-1, 2)
    tracks = Tracks(
        tokens=tuple(file.results),
        keyframe=np.array(keyframe, np.int64),
        boxes=np.concatenate((centre, np.stack((length, width, height, yaw), axis=1), velocity), axis=1),
        classes=taxonomy.classes,
        class_index=np.array([taxonomy.classes.index(box.tracking_name) for box in boxes], np.int64),
        track=np.array([numbers[box.tracking_id] for box in boxes], np.int64),
        score=np.array([box.tracking_score for box in boxes], np.float64),
    )
    return TrackFile(path, tracks, tuple(name for name in SENSORS if file.meta.get(f"use_{name}")))


def _require_sample(boxes: list[_Box], token: str, taxonomy: Taxonomy) -> None:
    """Raise for boxes that are not one sample's.

    Raises:
        ValueError: saying why.
    """
    if len(boxes) > MOST_BOXES:
        raise ValueError(f"{len(boxes)} boxes, {MOST_BOXES} may be")
    if len({box.tracking_id for box in boxes}) < len(boxes):
        raise ValueError("an object has two boxes")
    for box in boxes:
        if box.sample_token != token:
            raise ValueError(f"lists a box whose sample_token is {box.sample_token!r:.60}")
        if box.tracking_name not in taxonomy.classes:
            raise ValueError(f"class {box.tracking_name!r} is none of the taxonomy's")
        if math.hypot(*box.rotation) < _SMALLEST_ROTATION:
            raise ValueError("rotation is no quaternion")
