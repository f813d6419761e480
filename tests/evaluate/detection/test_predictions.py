import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Bool
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.eval.detection.utils import category_to_detection_name
from pyquaternion import Quaternion
from torch import Tensor, nn

from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import load_taxonomy
from avjepa.encoders.base import BEVMap, SensorEncoder, Tokens
from avjepa.errors import UserError
from avjepa.evaluate.detection.predictions import official_boxes, write_predictions
from avjepa.evaluate.detection.task import DetectionTask
from avjepa.evaluate.predict import predict_split
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import transform_from
from avjepa.heads.detection.center_point import CenterPointOptions
from avjepa.heads.detection.detections import Detections
from avjepa.model.neck import SecondFPNOptions
from tests.batch_tokens import BatchTokens
from tests.finetune.toys import trainer

NUSCENES = load_taxonomy("nuscenes")
GRID = BEVGrid(-32.0, 32.0, -24.0, 24.0, 2.0)


class Heights(SensorEncoder):
    """The highest point of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.token_grid, self.out_channels, self.intermediate_channels = GRID, 4, ()
        self.convolution = nn.Conv2d(1, 4, 1)

    def heights(self, batch: Batch) -> Tensor:
        assert batch.lidar is not None
        cell, inside = GRID.cell_of(batch.lidar.xyz[:, :2])
        rows, columns = GRID.shape
        index = (batch.lidar.batch_index * rows + cell[:, 0]) * columns + cell[:, 1]
        empty = torch.full((len(batch) * rows * columns,), -5.0)
        top = empty.scatter_reduce(0, index[inside], batch.lidar.xyz[inside, 2], "amax")
        return top.view(len(batch), 1, rows, columns)

    def tokenise(self, batch: Batch) -> BatchTokens:
        return BatchTokens(batch, lambda b: self.heights(b)[:, 0] > -5)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        assert isinstance(tokens, BatchTokens)
        return BEVMap(self.convolution(self.heights(tokens.batch)), tokens.observed)


def make_module() -> FinetuneModule:
    torch.manual_seed(0)
    head = CenterPointOptions(shared_channels=4, channels=4, score_threshold=0.0, boxes_per_group=10)
    neck = SecondFPNOptions(channels=(4,), layers=1, out_channels=4)
    return FinetuneModule(neck, {"detection": DetectionTask(head)}, backbone=Heights())


def test_boxes_in_the_ego_frame_become_the_devkits_boxes_in_the_global_frame(realdata: Path) -> None:
    nusc = NuScenes("v1.0-mini", str(realdata / "nuscenes_keyframe"), verbose=False)
    (sample,) = nusc.sample
    lidar = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
    pose = nusc.get("ego_pose", lidar["ego_pose_token"])
    globally = [box for box in nusc.get_boxes(lidar["token"]) if category_to_detection_name(box.name)]
    rows, classes = [], []
    for box in (box.copy() for box in globally):
        box.translate(-np.array(pose["translation"]))
        box.rotate(Quaternion(pose["rotation"]).inverse)
        velocity = Quaternion(pose["rotation"]).inverse.rotate(np.nan_to_num([*globally[len(rows)].velocity[:2], 0.0]))
        heading = box.rotation_matrix[:, 0]
        width, length, height = box.wlh
        rows.append([*box.center, length, width, height, math.atan2(heading[1], heading[0]), *velocity[:2]])
        classes.append(NUSCENES.classes.index(str(category_to_detection_name(box.name))))
    assert len(rows) > 40
    detections = Detections(torch.tensor(rows).double(), torch.ones(len(rows)), torch.tensor(classes))
    global_from_level = transform_from(
        torch.tensor(pose["rotation"]).double(), torch.tensor(pose["translation"]).double()
    )

    entries = official_boxes(sample["token"], detections, global_from_level, NUSCENES)
    for entry, box in zip(entries, globally, strict=True):
        np.testing.assert_allclose(entry["translation"], box.center, atol=1e-4)
        np.testing.assert_allclose(entry["size"], box.wlh, rtol=1e-6)
        turned = Quaternion(entry["rotation"]).inverse * box.orientation
        # heading: pitch and roll of the ego pose are a few millirad
        assert abs(turned.radians) < 5e-3
        np.testing.assert_allclose(entry["velocity"], np.nan_to_num(box.velocity[:2]), atol=5e-3)
        assert entry["detection_name"] == category_to_detection_name(box.name)
        assert entry["sample_token"] == sample["token"]


@pytest.mark.parametrize("spoilt", ["boxes", "scores"])
def test_a_detector_with_spoilt_weights_writes_no_file(spoilt: str) -> None:
    detections = Detections(torch.ones(1, 9), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    spoilt_ones = replace(detections, **{spoilt: getattr(detections, spoilt) * float("nan")})
    assert len(official_boxes("a", detections, torch.eye(4), NUSCENES)) == 1
    with pytest.raises(UserError, match="sample a: the detector finds boxes that are NaN"):
        official_boxes("a", spoilt_ones, torch.eye(4), NUSCENES)


def test_the_file_lists_samples_without_boxes_and_says_what_it_was_made_from(tmp_path: Path) -> None:
    write_predictions(tmp_path / "out.json", {"b": b"[]"}, ["a", "b"], ["lidar", "radar"])
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["results"] == {"a": [], "b": []}
    assert content["meta"] == {
        "use_camera": False, "use_lidar": True, "use_radar": True, "use_map": False, "use_external": False,
    }  # fmt: skip


def test_an_untrained_detector_writes_a_file_that_the_unmodified_devkit_scores(realdata: Path, tmp_path: Path) -> None:
    root = realdata / "nuscenes_keyframe"
    data = DetectionDataModule(
        dataroot=str(root), version="v1.0-mini", eval_split="mini_train", lidar_sweeps=1, workers=0
    )
    path = predict_split(trainer(0), make_module(), data, tmp_path).files["detection"]
    nusc = NuScenes("v1.0-mini", str(root), verbose=False)
    config = config_factory("detection_cvpr_2019")
    devkit = DetectionEval(nusc, config, str(path), "mini_train", str(tmp_path), verbose=False)
    assert len(devkit.pred_boxes.all) > 0
    metrics, _ = devkit.evaluate()
    assert metrics.mean_ap < 0.05
    assert json.loads(path.read_text())["meta"]["use_lidar"] is True
