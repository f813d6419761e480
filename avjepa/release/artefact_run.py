"""Runs an exported artefact with torch and numpy alone: ``python run.py [FOLDER]``.

Feeds the example of the folder through the program, compares the outputs with those that the example holds, and prints
the boxes that are left after the suppression.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch


def suppressed(boxes, scores, radius, most):  # type: ignore[no-untyped-def]
    """Indices of the boxes without a better one within ``radius`` metres, best first, ``most`` at most."""
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        if len(kept) == most:
            break
        if not kept or np.min(((boxes[kept, :2] - boxes[index, :2]) ** 2).sum(1)) > radius**2:
            kept.append(int(index))
    return kept


def detections(outputs, head, facts):  # type: ignore[no-untyped-def]
    """Boxes (n, 9) in the BEV frame, scores and class names of a detection head, best first."""
    boxes, scores, classes, groups = (outputs[f"{head}.{name}"] for name in ("boxes", "scores", "classes", "groups"))
    kept = []
    for number, group in enumerate(facts["groups"]):
        mine = np.flatnonzero((groups == number) & (scores >= facts["score_threshold"]))
        best = suppressed(boxes[mine], scores[mine], group["nms_radius"], facts["boxes_per_group"])
        kept += [int(mine[index]) for index in best]
    kept = sorted(kept, key=lambda index: -scores[index])[: facts["boxes_per_sample"]]
    return boxes[kept], scores[kept], [facts["classes"][index] for index in classes[kept]]


def largest_difference(outputs, expected):  # type: ignore[no-untyped-def]
    """Over all outputs. Candidates of a detection head are compared as a set: equal scores may come in any order, and
    the last of a group may be one or another."""
    worst = 0.0
    heads = {name.removesuffix(".boxes") for name in expected if name.endswith(".boxes")}
    for head in heads:
        one, other = (
            np.column_stack([found[f"{head}.{name}"] for name in ("boxes", "scores", "classes", "groups")]).astype(
                float
            )
            for found in (outputs, expected)
        )
        for group in np.unique(other[:, -1]):
            mine, theirs = one[one[:, -1] == group], other[other[:, -1] == group]
            theirs = theirs[theirs[:, 9] > theirs[:, 9].min() + 1e-4]
            for row in theirs:
                worst = max(worst, float(np.abs(mine - row).max(1).min()))
    for name, value in expected.items():
        if name.rpartition(".")[0] not in heads:
            worst = max(worst, float(np.abs(outputs[name] - value).max(initial=0.0)))
    return worst


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
        if f"{head}.boxes" in outputs:
            boxes, scores, classes = detections(outputs, head, facts)
            for box, score, name in list(zip(boxes, scores, classes, strict=True))[:10]:
                print(f"{name:<22}{score:.3f}  x {box[0]:7.2f}  y {box[1]:7.2f}  yaw {box[6]:6.2f}")
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
