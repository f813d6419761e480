"""The detections of one sample from an official result file, which anyone may have written."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.nuscenes.schema import CLASSES
from avjepa.errors import UserError
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse
from avjepa.heads.detection.detections import Detections


def read_detections(path: Path, token: str, global_from_ego: Float[Tensor, "4 4"]) -> Detections:
    """The detections of one sample from an official result file, in the sample's ego frame, best first.

    Raises:
        UserError: the file cannot be read, is no result file, does not list the sample, or one of the sample's boxes is
            none. A velocity may be NaN, which the format defines as unknown; nothing else may.
    """
    results = _results(path)
    if token not in results:
        raise UserError(f"{path}: does not list sample {token}; choose a sample of the split that was predicted")
    if not isinstance(results[token], list):
        raise UserError(f"{path}: sample {token}: not a list of boxes; predict again")
    rows: list[list[float]] = []
    scores: list[float] = []
    classes: list[int] = []
    for number, entry in enumerate(results[token]):
        try:
            rows.append(_box(entry))
            scores.append(*_numbers(entry, "detection_score"))
            classes.append(_class(entry))
        except ValueError as error:
            raise UserError(f"{path}: sample {token}, box {number}: {error}; predict again") from None
    boxes = torch.tensor(rows, dtype=torch.float64).reshape(-1, 9)
    score = torch.tensor(scores, dtype=torch.float64)
    order = score.argsort(descending=True, stable=True)
    boxes = transform_boxes(inverse(global_from_ego.double()), boxes[order]).float()
    return Detections(boxes, score[order].float(), torch.tensor(classes, dtype=torch.int64)[order])


def _results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a result file in the official format")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a nuScenes detection result ({error}); predict again") from error
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise UserError(f"{path}: not a nuScenes detection result (no object 'results'); predict again")
    return results


def _box(entry: object) -> list[float]:
    """``BOX_FIELDS`` in the global frame. Raises ``ValueError`` that names the field."""
    x, y, z = _numbers(entry, "translation", 3)
    width, length, height = _numbers(entry, "size", 3)
    if min(width, length, height) <= 0:
        raise ValueError(f"'size' {[width, length, height]} is not positive")
    qw, qx, qy, qz = _numbers(entry, "rotation", 4)
    if not any((qw, qx, qy, qz)):
        raise ValueError("'rotation' is no quaternion")
    norm = math.hypot(qw, qx, qy, qz)
    qw, qx, qy, qz = qw / norm, qx / norm, qy / norm, qz / norm
    yaw = math.atan2(2 * (qx * qy + qw * qz), 1 - 2 * (qy * qy + qz * qz))
    return [x, y, z, length, width, height, yaw, *_numbers(entry, "velocity", 2, nan_is_unknown=True)]


def _class(entry: object) -> int:
    name = _field(entry, "detection_name")
    if name not in CLASSES:
        raise ValueError(f"'detection_name' {str(name)[:40]!r} is none of {', '.join(CLASSES)}")
    return CLASSES.index(str(name))


def _numbers(entry: object, name: str, count: int | None = None, nan_is_unknown: bool = False) -> list[float]:
    """A field's numbers: a list of ``count``, or one number where there is no ``count``."""
    value = _field(entry, name)
    values = [value] if count is None else value
    if not isinstance(values, list) or len(values) != (count or 1) or not all(_is_number(v) for v in values):
        raise ValueError(f"'{name}' is not {'a number' if count is None else f'a list of {count} numbers'}")
    if not all(abs(v) < _FARTHEST or (nan_is_unknown and math.isnan(v)) for v in values):
        raise ValueError(f"'{name}' holds a NaN, infinite or absurd value")
    return [float(v) for v in values]


_FARTHEST = 1e9
"""Metres, and metres a second: beyond, float32 in a frame on the Earth loses every digit that matters."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _field(entry: object, name: str) -> Any:
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    if name not in entry:
        raise ValueError(f"the field '{name}' is missing")
    return entry[name]
