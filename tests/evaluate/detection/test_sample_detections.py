"""Detections of a result file in the frame of their sample."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyquaternion import Quaternion

from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.sample_detections import detections_of

NUSCENES = load_taxonomy("nuscenes")
GOOD: dict[str, Any] = {
    "sample_token": "here", "translation": [10.0, 20.0, 1.0], "size": [1.8, 4.4, 1.5], "rotation": [1.0, 0.0, 0.0, 0.0],
    "velocity": [3.0, 4.0], "detection_name": "truck", "detection_score": 0.5, "attribute_name": "",
}  # fmt: skip


def written(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps({"meta": {}, "results": {"here": list(entries)}}))
    return path


def test_boxes_in_the_ego_frame_best_first(tmp_path: Path) -> None:
    """The yaw of any quaternion, not only of one about z, by pyquaternion."""
    tilted = Quaternion(axis=[0, 0, 1], degrees=50) * Quaternion(axis=[1, 0, 0], degrees=20)
    sure = GOOD | {"detection_score": 0.9, "detection_name": "car", "rotation": list((2 * tilted).elements)}
    ego = np.eye(4)
    ego[:3, :3] = Quaternion(axis=[0, 0, 1], degrees=90).rotation_matrix
    ego[:3, 3] = [10, 10, 0]
    file = read_result_file(written(tmp_path / "r.json", GOOD, sure), NUSCENES)
    found = detections_of(file, "here", torch.tensor(ego, dtype=torch.float32))
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.class_index.tolist() == [0, 1]
    # ten metres north of an ego that looks north: ahead of it; it drives (3, 4): ahead 4, to the right 3
    assert found.boxes[1].tolist() == pytest.approx([10, 0, 1, 4.4, 1.8, 1.5, -math.pi / 2, 4, -3], abs=1e-5)
    forward = tilted.rotation_matrix[:, 0]
    assert found.boxes[0, 6].item() == pytest.approx(math.atan2(forward[1], forward[0]) - math.pi / 2, abs=1e-5)


def test_no_detections(tmp_path: Path) -> None:
    file = read_result_file(written(tmp_path / "r.json"), NUSCENES)
    assert detections_of(file, "here", torch.eye(4)).boxes.shape == (0, 9)


def test_sample_that_was_not_predicted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"r\.json: does not list sample there; choose a sample"):
        detections_of(read_result_file(written(tmp_path / "r.json", GOOD), NUSCENES), "there", torch.eye(4))
