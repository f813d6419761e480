"""Result files of the detection task, drawn around what is annotated."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from avjepa.data.protocol import AnnotatedKeyframes, DrivingDataset
from avjepa.data.taxonomy import Taxonomy

FOUND = 0.9
"""Share of the annotated boxes that are found."""


def write_result_file(path: Path, source: DrivingDataset, split: str, boxes: int, seed: int = 0) -> None:
    """Write a result file of so many boxes a keyframe: annotated ones, displaced and some left out, and invented ones.

    Scores have three decimals, so that many boxes share one.
    """
    draw = np.random.default_rng(seed)
    annotated = source.annotated_keyframes(source.scenes_of(split))
    meta = {f"use_{name}": name == "lidar" for name in ("camera", "lidar", "radar", "map", "external")}
    of_class = np.flatnonzero(annotated.class_index >= 0)
    rows_of = np.split(of_class, np.searchsorted(annotated.keyframe[of_class], np.arange(1, len(annotated.tokens))))
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"meta": {json.dumps(meta)}, "results": {{')
        for number, (token, rows) in enumerate(zip(annotated.tokens, rows_of, strict=True)):
            entries = _drawn(annotated, source.taxonomy, token, rows, boxes, draw) if len(rows) else []
            file.write(f'{", " if number else ""}"{token}": {json.dumps(entries)}')
        file.write("}}")


def _drawn(
    annotated: AnnotatedKeyframes, taxonomy: Taxonomy, token: str, rows: Any, count: int, draw: np.random.Generator
) -> list[dict[str, Any]]:
    found = rows[draw.random(len(rows)) < FOUND][:count]
    chosen = np.concatenate((found, draw.choice(rows, count - len(found))))
    invented = np.arange(count) >= len(found)
    boxes = annotated.boxes[chosen]
    centre = boxes[:, :3] + np.where(invented, 8.0, 0.7)[:, None] * draw.normal(size=(count, 3))
    size = boxes[:, [4, 3, 5]] * np.exp(0.2 * draw.normal(size=(count, 3)))
    half = (boxes[:, 6] + 0.3 * draw.normal(size=count)) / 2
    velocity = np.nan_to_num(boxes[:, 7:9]) + draw.normal(size=(count, 2))
    score = np.round(draw.random(count) * np.where(invented, 0.8, 1.0), 3)
    speed = np.linalg.norm(velocity, axis=1)
    names = [taxonomy.classes[kind] for kind in annotated.class_index[chosen]]
    columns = (centre, size, np.cos(half), np.sin(half), velocity, score, speed)
    return [
        {
            "sample_token": token,
            "translation": centre,
            "size": size,
            "rotation": [cos, 0.0, 0.0, sin],
            "velocity": velocity,
            "detection_name": name,
            "detection_score": score,
            "attribute_name": taxonomy.attribute_of(name, speed),
        }
        for name, centre, size, cos, sin, velocity, score, speed in zip(
            names, *(column.tolist() for column in columns), strict=True
        )
    ]
