"""Runs an exported artefact with torch and numpy alone: ``python run.py [FOLDER]``.

Feeds the example of the folder through the program, compares the outputs with those that the example holds, and prints
the boxes that are left after the suppression.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch


def suppressed(boxes: Any, scores: Any, radius: float, most: int) -> list[int]:
    """Indices of the boxes without a better one within ``radius`` metres, best first, ``most`` at most."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if len(kept) == most:
            break
        if not kept or np.min(((boxes[kept, :2] - boxes[index, :2]) ** 2).sum(1)) > radius**2:
            kept.append(int(index))
    return kept


def decoded(codes: Any, cells: Any, grid: dict[str, float]) -> Any:
    """Boxes (n, 9): x, y, z, length, width, height, yaw, vx, vy in the BEV frame, of codes at cells (row, column)."""
    centre = np.column_stack([grid["x_min"] + (cells[:, 1] + 0.5) * grid["cell"],
                              grid["y_min"] + (cells[:, 0] + 0.5) * grid["cell"]])  # fmt: skip
    size = np.exp(np.clip(codes[:, 3:6], -3.0, 4.0))
    yaw = np.arctan2(codes[:, 6], codes[:, 7])
    return np.column_stack([centre + codes[:, :2] * grid["cell"], codes[:, 2], size, yaw, codes[:, 8:10]])


def detections(outputs: dict[str, Any], head: str, facts: dict[str, Any]) -> tuple[Any, Any, list[str]]:
    """Boxes (n, 9) in the BEV frame, scores and class names of a detection head, best first."""
    cells, codes, scores, classes, groups = (
        outputs[f"{head}.{name}"] for name in ("cells", "codes", "scores", "classes", "groups")
    )
    boxes = decoded(codes, cells, facts["grid"])
    kept: list[int] = []
    for number, group in enumerate(facts["groups"]):
        mine = np.flatnonzero((groups == number) & (scores >= facts["score_threshold"]))
        best = suppressed(boxes[mine], scores[mine], group["nms_radius"], facts["boxes_per_group"])
        kept += [int(mine[index]) for index in best]
    kept = sorted(kept, key=lambda index: -scores[index])[: facts["boxes_per_sample"]]
    return boxes[kept], scores[kept], [facts["classes"][index] for index in classes[kept]]


def largest_difference(outputs: dict[str, Any], expected: dict[str, Any]) -> float:
    """Over all outputs. Candidates of a detection head are compared cell by cell: equal scores may come in any order,
    and the last of a group may be one or another."""
    worst = 0.0
    heads = {name.removesuffix(".cells") for name in expected if name.endswith(".cells")}
    for head in heads:
        mine, theirs = _candidates(outputs, head), _candidates(expected, head)
        lowest = {group: min(row[0] for key, row in theirs.items() if key[0] == group) for group, *_ in theirs}
        for key, row in theirs.items():
            if row[0] > lowest[key[0]] + 1e-4:
                worst = max(worst, float(np.abs(mine[key] - row).max()) if key in mine else float("inf"))
    for name, value in expected.items():
        if name.rpartition(".")[0] not in heads:
            worst = max(worst, float(np.abs(outputs[name] - value).max(initial=0.0)))
    return worst


def _candidates(outputs: dict[str, Any], head: str) -> dict[tuple[int, ...], Any]:
    """Score and code of every candidate by group, class and cell."""
    names = np.column_stack([outputs[f"{head}.{name}"] for name in ("groups", "classes", "cells")])
    values = np.column_stack([outputs[f"{head}.scores"], outputs[f"{head}.codes"]])
    return {tuple(int(number) for number in name): row for name, row in zip(names, values, strict=True)}


def main(folder: Path) -> int:
    """Run the example; 0 if every output is the one that it should be."""
    about = json.loads((folder / "artefact.json").read_text())
    with np.load(folder / "example.npz", allow_pickle=False) as example:
        inputs = {name[3:]: torch.from_numpy(example[name]) for name in example.files if name.startswith("in.")}
        expected = {name[4:]: example[name] for name in example.files if name.startswith("out.")}
    program = torch.export.load(folder / "dense.pt2").module()
    with torch.no_grad():
        outputs = {name: value.numpy() for name, value in program(inputs).items()}
    worst = largest_difference(outputs, expected)
    print(f"{len(expected)} outputs, largest difference {worst:.2e}")
    for head, facts in about["heads"].items():
        if f"{head}.cells" in outputs:
            boxes, scores, classes = detections(outputs, head, facts)
            for box, score, name in list(zip(boxes, scores, classes, strict=True))[:10]:
                print(f"{name:<22}{score:.3f}  x {box[0]:7.2f}  y {box[1]:7.2f}  yaw {box[6]:6.2f}")
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
