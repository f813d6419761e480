"""Result files from elsewhere: what is read, and the one line for what is not."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyquaternion import Quaternion

from avjepa.errors import UserError
from avjepa.evaluate.detection.sample_detections import read_detections

GOOD: dict[str, Any] = {
    "sample_token": "here", "translation": [10.0, 20.0, 1.0], "size": [1.8, 4.4, 1.5], "rotation": [1.0, 0.0, 0.0, 0.0],
    "velocity": [3.0, 4.0], "detection_name": "truck", "detection_score": 0.5, "attribute_name": "",
}  # fmt: skip


def written(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps({"meta": {}, "results": {"here": list(entries)}}))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_detections(path, "here", torch.eye(4))
    message = str(caught.value)
    assert "\n" not in message and path.name in message and "Error" not in message
    return message


def test_boxes_in_the_ego_frame_best_first(tmp_path: Path) -> None:
    """The yaw of any quaternion, not only of one about z, by pyquaternion."""
    tilted = Quaternion(axis=[0, 0, 1], degrees=50) * Quaternion(axis=[1, 0, 0], degrees=20)
    sure = GOOD | {"detection_score": 0.9, "detection_name": "car", "rotation": list((2 * tilted).elements)}
    ego = np.eye(4)
    ego[:3, :3] = Quaternion(axis=[0, 0, 1], degrees=90).rotation_matrix
    ego[:3, 3] = [10, 10, 0]
    found = read_detections(written(tmp_path / "r.json", GOOD, sure), "here", torch.tensor(ego, dtype=torch.float32))
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.class_index.tolist() == [0, 1]
    # ten metres north of an ego that looks north: ahead of it; it drives (3, 4): ahead 4, to the right 3
    assert found.boxes[1].tolist() == pytest.approx([10, 0, 1, 4.4, 1.8, 1.5, -math.pi / 2, 4, -3], abs=1e-5)
    forward = tilted.rotation_matrix[:, 0]
    assert found.boxes[0, 6].item() == pytest.approx(math.atan2(forward[1], forward[0]) - math.pi / 2, abs=1e-5)


def test_unknown_velocity_is_nan_as_the_format_has_it(tmp_path: Path) -> None:
    path = written(tmp_path / "r.json", GOOD | {"velocity": [math.nan, math.nan]})
    assert read_detections(path, "here", torch.eye(4)).boxes[0, 7:].isnan().all()


def test_no_detections(tmp_path: Path) -> None:
    assert read_detections(written(tmp_path / "r.json"), "here", torch.eye(4)).boxes.shape == (0, 9)


@pytest.mark.parametrize("field", ["translation", "size", "rotation", "velocity", "detection_name", "detection_score"])
@pytest.mark.parametrize("value", ["missing", None, "text", True, {}, [], [1], ["a", "b", "c"], [[1], [2], [3]]])
def test_field_that_is_missing_or_of_another_type_is_named(tmp_path: Path, field: str, value: Any) -> None:
    entry = {k: v for k, v in GOOD.items() if k != field} if value == "missing" else GOOD | {field: value}
    message = refusal(written(tmp_path / "r.json", GOOD, entry))
    assert field in message and "box 1" in message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, 1e300])
@pytest.mark.parametrize("field", ["translation", "size", "rotation", "detection_score"])
def test_box_of_nan_or_infinity_is_refused(tmp_path: Path, field: str, value: float) -> None:
    broken = value if field == "detection_score" else [value, *GOOD[field][1:]]
    assert field in refusal(written(tmp_path / "r.json", GOOD | {field: broken}))


@pytest.mark.parametrize(
    "change", [{"size": [0, 1, 1]}, {"size": [1, -1, 1]}, {"rotation": [0, 0, 0, 0]}, {"velocity": [math.inf, 0]}]
)
def test_box_that_no_object_has_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    assert next(iter(change)) in refusal(written(tmp_path / "r.json", GOOD | change))


@pytest.mark.parametrize("entry", [None, 3, "box", [1, 2]])
def test_entry_that_is_no_object_is_refused(tmp_path: Path, entry: Any) -> None:
    assert "box 0" in refusal(written(tmp_path / "r.json", entry))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no json", b"[]", b"null", b'{"results": []}', b'{"results": null}', b'{"meta": {}}', b"\xff\xfe{}",
        b'{"results": {"here": 7}}', b'{"results": {"here": {}}}', b"[" * 100_000, b'{"results": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)  # fmt: skip
def test_file_that_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    refusal(tmp_path / "r.json")


def test_missing_file_and_sample_that_was_not_predicted(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nothing.json")
    (tmp_path / "r.json").write_text('{"results": {"elsewhere": []}}')
    assert "here" in refusal(tmp_path / "r.json")
