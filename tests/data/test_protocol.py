"""Another kind of data set, arrays in memory, goes through pre-training, fine-tuning and scoring."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from avjepa.data import datasets
from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import Layout, open_dataset
from avjepa.data.labels import Labels
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.data.map_mask import MapMask
from avjepa.data.moment import Moment, SweepStack
from avjepa.data.protocol import AnnotatedKeyframes, BoxSummary, DrivingDataset
from avjepa.data.sensor_inputs import Sensor, SensorInputs
from avjepa.data.taxonomy import ClassGroup, Taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.predictions import official_boxes, write_predictions
from avjepa.evaluate.detection.scoring import evaluate_detection
from avjepa.heads.detection.detections import Detections
from avjepa.heads.task import ScoredSplit
from avjepa.pretrain.lightning_model import PretrainModule
from tests.finetune.toys import toy_module
from tests.pretrain.toy_training import ToyObjective

CLASSES = Taxonomy(("car",), {"car": "car"}, (ClassGroup(("car",), 2.0),), {"car": 50.0}, {}, 1.0)
MOMENTS = 6


@dataclass(frozen=True)
class CarsInTheMemory:
    """Two drives of three keyframes each; one car drives ahead, of which the LiDAR sees forty points."""

    channels: SensorChannels
    name: str = "cars in the memory"
    dataroot: Path = Path("memory")
    version: str = "any"
    recorded_channels: tuple[str, ...] = ("LIDAR",)
    taxonomy: Taxonomy = CLASSES
    scene_names: tuple[str, ...] = ("first", "second")
    opened_labels: list[int] = field(default_factory=list)

    def scenes_of(self, split: str | None) -> list[str]:
        return {None: ["first", "second"], "train": ["first"], "val": ["second"]}[split]

    def fingerprint(self) -> str:
        return "points"

    def label_fingerprint(self) -> str:
        return "boxes"

    def __len__(self) -> int:
        return MOMENTS

    def moments(self, scenes: list[str] | None = None, keyframes_only: bool = False) -> np.ndarray:
        chosen = [moment for moment in range(MOMENTS) if scenes is None or self.scene_of(moment) in scenes]
        return np.array(chosen, np.int64)

    def unrecorded(self, scenes: list[str]) -> tuple[str, ...]:
        return ()

    def keyframe_tokens(self, scenes: list[str]) -> tuple[str, ...]:
        return tuple(self.token_of(moment) for moment in self.moments(scenes))

    def recorded(self, sensor: Sensor) -> np.ndarray:
        return np.full(MOMENTS, sensor == "lidar")

    def token_of(self, moment: int) -> str:
        return f"moment {moment}"

    def scene_of(self, moment: int) -> str:
        return self.scene_names[moment // 3]

    def time_of(self, moment: int) -> int:
        return moment * 500_000

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        spread = torch.rand(40, 3, generator=torch.Generator().manual_seed(moment)) - 0.5
        cloud = torch.zeros(40, 6)
        cloud[:, :3] = spread * torch.tensor([4.0, 2.0, 1.5]) + self._centre(moment)
        return Moment(
            self.token_of(moment), self.scene_of(moment), self.time_of(moment), torch.eye(4, dtype=torch.float64),
            lidar=SweepStack(cloud, {("LIDAR", 0): slice(0, 40)}), radar={}, cameras={},
        )  # fmt: skip

    def global_from_level(self, moment: int) -> torch.Tensor:
        return torch.eye(4, dtype=torch.float64)

    def map_mask(self, scene: str) -> MapMask:
        raise UserError(f"scene {scene}: nobody has drawn a map of it")

    def has_labels(self) -> bool:
        return True

    def labels(self, moment: int) -> Labels:
        self.opened_labels.append(moment)
        box = torch.cat((self._centre(moment), torch.tensor([4.0, 2.0, 1.5, 0.0, 1.0, 0.0])))[None]
        one = torch.tensor([1])
        return Labels(box, 0 * one, 40 * one, 0 * one, 4 * one, one * (moment // 3))

    def boxes(self, moments: np.ndarray) -> BoxSummary:
        nothing = np.zeros(len(moments), np.int64)
        return BoxSummary(np.arange(len(moments)), nothing, nothing, nothing, ("car",), nothing + 40, nothing)

    def annotated_keyframes(self, scenes: list[str]) -> AnnotatedKeyframes:
        moments = self.moments(scenes)
        boxes = np.concatenate([self.labels(moment).boxes.double().numpy() for moment in moments])
        nothing = np.zeros(len(moments), np.int64)
        return AnnotatedKeyframes(
            self.keyframe_tokens(scenes), moments * 500_000, moments // 3, self.scene_names,
            np.zeros((len(moments), 2)), np.arange(len(moments)), boxes, nothing, nothing, ("car",), nothing - 1, None,
            nothing + 40, nothing, nothing + 4, moments // 3,
        )  # fmt: skip

    def scene_descriptions(self) -> dict[str, str]:
        return dict.fromkeys(self.scene_names, "")

    def unfit_for_devkit(self, split: str) -> str:
        return "it has no tables"

    def track_name(self, track_id: int) -> str:
        return f"car {track_id}"

    def _centre(self, moment: int) -> torch.Tensor:
        return torch.tensor([-4.0 + 2.0 * (moment % 3), 1.0, 0.5])


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> CarsInTheMemory:
    """The data set that ``open_dataset`` finds under the root "memory"."""
    dataset = CarsInTheMemory(SensorChannels(lidar=("LIDAR",)))
    layout = Layout(lambda root, version: str(root) == "memory", lambda *options: dataset)
    monkeypatch.setattr(datasets, "LAYOUTS", {"memory": layout, **datasets.LAYOUTS})
    return dataset


def trainer(out: Path) -> pl.Trainer:
    return pl.Trainer(
        max_steps=2, limit_val_batches=0, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=out,
    )  # fmt: skip


def test_it_is_opened_by_its_layout_and_has_all_that_is_asked_of_a_data_set(memory: CarsInTheMemory) -> None:
    assert open_dataset("memory", "any") is memory
    assert isinstance(memory, DrivingDataset)


def test_it_pre_trains_without_its_labels(memory: CarsInTheMemory, tmp_path: Path) -> None:
    data = PretrainDataModule(dataroot="memory", version="any", split=None, batch_size=2, workers=0)
    module = PretrainModule(ToyObjective(), 0.01, warmup_fraction=0.5)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainer(tmp_path).fit(module, data)
    assert any(not torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert memory.opened_labels == []


def test_it_fine_tunes_and_predicts(memory: CarsInTheMemory, tmp_path: Path) -> None:
    data = DetectionDataModule(dataroot="memory", version="any", batch_size=3, workers=0, class_balanced=True)
    module = toy_module()
    running = trainer(tmp_path)
    running.fit(module, data)
    assert running.callback_metrics["train/loss"] > 0
    assert set(memory.opened_labels) <= {0, 1, 2}, "the training scene alone"
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert [token for batch in batches for token in batch.tokens] == ["moment 3", "moment 4", "moment 5"]
    assert all(len(module.model.predict(batch)["detection"]) == len(batch) for batch in batches)


def test_its_detections_are_scored(memory: CarsInTheMemory, tmp_path: Path) -> None:
    def found(token: str, moment: int) -> bytes:
        boxes = memory.labels(moment).boxes
        detections = Detections(boxes, torch.tensor([0.9]), torch.tensor([0]))
        return json.dumps(official_boxes(token, detections, torch.eye(4), CLASSES)).encode()

    tokens = memory.keyframe_tokens(["second"])
    write_predictions(tmp_path / "x.json", {tokens[0]: found(tokens[0], 3), tokens[1]: found(tokens[1], 4)}, tokens, ())
    scores = evaluate_detection(tmp_path / "x.json", ScoredSplit(memory, "val"), tmp_path)
    assert scores is not None
    # two of three cars are found, each where it is: precision 1 up to a recall of 2/3, of which the first tenth is cut
    assert scores.class_ap["car"] == pytest.approx((67 - 11 + 0) / 90, abs=0.01)
    assert json.loads((tmp_path / "metrics.json").read_text())["evaluator"].endswith("(it has no tables)")
