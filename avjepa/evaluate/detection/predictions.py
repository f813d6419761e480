"""Detections as the official nuScenes result file."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.files import replacing
from avjepa.geometry.boxes import transform_boxes
from avjepa.heads.detection.detections import Detections


def official_boxes(
    token: str, detections: Detections, global_from_level: Float[Tensor, "4 4"], taxonomy: Taxonomy
) -> list[dict[str, Any]]:
    """Detections of one sample as entries of the result file: global frame, size as width, length, height.

    The rotation is a yaw in the global frame, as in the annotations: the pitch and roll of the ego pose do not enter.

    Raises:
        UserError: a box or a score is not finite.
    """
    if not (detections.boxes.isfinite().all() and detections.scores.isfinite().all()):
        raise UserError(f"sample {token}: the detector finds boxes that are NaN or infinite; its weights are spoilt")
    boxes = transform_boxes(global_from_level.cpu().double(), detections.boxes.cpu().double())
    entries = []
    for box, score, index in zip(
        boxes.tolist(), detections.scores.tolist(), detections.class_index.tolist(), strict=True
    ):
        x, y, z, length, width, height, yaw, velocity_x, velocity_y = box
        name = taxonomy.classes[index]
        entries.append(
            {
                "sample_token": token,
                "translation": [x, y, z],
                "size": [width, length, height],
                "rotation": [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)],
                "velocity": [velocity_x, velocity_y],
                "detection_name": name,
                "detection_score": score,
                "attribute_name": taxonomy.attribute_of(name, math.hypot(velocity_x, velocity_y)),
            }
        )
    return entries


def write_predictions(
    path: Path, results: Mapping[str, bytes], sample_tokens: Sequence[str], sensors: Sequence[str]
) -> None:
    """Write an official result file, sample by sample.

    Args:
        path: replaced if it is there.
        results: entries by sample token, as JSON.
        sample_tokens: every sample that the file has to list; those without results get an empty list.
        sensors: of ``lidar``, ``camera``, ``radar``: what the predictions were made from.
    """
    meta = {f"use_{name}": name in sensors for name in ("camera", "lidar", "radar", "map", "external")}
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(f'{{"meta": {json.dumps(meta)}, "results": {{'.encode())
        for number, token in enumerate(sample_tokens):
            file.write(f"{', ' if number else ''}{json.dumps(token)}: ".encode())
            file.write(results.get(token, b"[]"))
        file.write(b"}}\n")
