"""An artefact of a small fused model with two heads puts out what the model says; ONNX where it is installed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.heads.detection import CenterPointOptions
from avjepa.heads.reidentification import ReidentificationOptions
from avjepa.heads.segmentation import SegmentationOptions
from avjepa.model.neck import SecondFPNOptions
from avjepa.model.perception_model import PerceptionModel
from avjepa.release.artefact_run import detections, largest_difference, main
from avjepa.release.export import export
from tests.fusion.toys import batch_of, fused


def model(*heads: str) -> PerceptionModel:
    backbone = fused()
    neck = SecondFPNOptions((8,), 1, 8).build(backbone.out_channels, backbone.token_grid)
    options = {
        "detection": CenterPointOptions(shared_channels=8, channels=8),
        "segmentation": SegmentationOptions(channels=8),
        "reidentification": ReidentificationOptions(dimension=8),
    }
    taxonomy = load_taxonomy("nuscenes")
    return PerceptionModel(backbone, neck, {name: options[name].build(8, neck.grid, taxonomy) for name in heads}).eval()


def test_the_artefact_says_what_the_model_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, batch = model("detection", "segmentation", "reidentification"), batch_of([3])
    left_out = export(whole, batch, tmp_path, {"release": "r1"}, onnx=False)
    assert left_out == ["reidentification"]
    assert main(tmp_path) == 0
    about = json.loads((tmp_path / "artefact.json").read_text())
    assert set(about["inputs"]) >= {"lidar", "camera", "radar", "lidar.told", "camera.observed"}
    with np.load(tmp_path / "example.npz") as example:
        outputs = {name[4:]: example[name] for name in example.files if name.startswith("out.")}
    parts = model("detection", "segmentation")  # the same weights: modules are drawn in this order
    parts.load_state_dict({key: value for key, value in whole.state_dict().items() if "reidentification" not in key})
    expected = parts.predict(batch)
    boxes, scores, classes = detections(outputs, "detection", about["heads"]["detection"])
    assert len(classes) == len(scores) == len(expected["detection"][0].scores)
    np.testing.assert_allclose(scores, expected["detection"][0].scores.numpy(), atol=1e-5)
    np.testing.assert_allclose(np.sort(boxes[:, 0]), np.sort(expected["detection"][0].boxes[:, 0].numpy()), atol=1e-3)
    assert outputs["segmentation.probability"].shape[0] == len(about["heads"]["segmentation"]["classes"])


def test_a_wrong_number_is_found(tmp_path: Path) -> None:
    export(model("detection"), batch_of([3]), tmp_path, {}, onnx=False)
    with np.load(tmp_path / "example.npz") as example:
        expected = {name[4:]: example[name] for name in example.files if name.startswith("out.")}
    assert largest_difference(expected, expected) == 0
    codes = expected["detection.codes"].copy()
    codes[0, 6] += 0.01
    assert largest_difference({**expected, "detection.codes": codes}, expected) == pytest.approx(0.01, rel=1e-4)


def test_a_model_without_a_dense_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reidentification: no head has a dense output"):
        export(model("reidentification"), batch_of([3]), tmp_path / "out", {}, onnx=False)
    assert not (tmp_path / "out").exists()


def test_onnx_says_the_same(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    whole, batch = model("detection"), batch_of([3])
    export(whole, batch, tmp_path, {}, onnx=True)
    graph = ReferenceEvaluator(onnx.load(tmp_path / "dense.onnx"))
    with np.load(tmp_path / "example.npz") as example:
        inputs = [example[name] for name in example.files if name.startswith("in.")]
        expected = {name[4:]: example[name] for name in example.files if name.startswith("out.")}
    outputs = graph.run(None, dict(zip(graph.input_names, inputs, strict=True)))
    with torch.no_grad():
        assert largest_difference(dict(zip(expected, outputs, strict=True)), expected) < 1e-4
