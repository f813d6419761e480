"""Training and scoring on data in the form of MAN TruckScenes."""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands.test_argoverse2 import written
from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN
from tests.commands.test_training import avjepa
from tests.data.truckscenes.conftest import truckscenes
from tests.data.truckscenes.maker import SCENES, VERSION

__all__ = ["truckscenes"]


def test_lidar_pre_trains_fine_tunes_and_is_scored(truckscenes: Path, tmp_path: Path) -> None:
    (truckscenes / VERSION / "splits.json").write_text(json.dumps({"train": SCENES[:1], "val": SCENES[1:]}))
    data = ("--data", truckscenes, "--version", VERSION)
    config = ("--config", written(tmp_path, "pretrain", PRETRAIN))
    assert avjepa("pretrain", *config, *data, "--data.split", "train", "--steps", 2, "--out", tmp_path / "p") == 0
    config = ("--config", written(tmp_path, "finetune", FINETUNE))
    start = ("--bundle", tmp_path / "p" / "backbone", "--steps", 2)
    assert avjepa("finetune", *config, *data, *start, "--out", tmp_path / "f") == 0
    assert yaml.safe_load((tmp_path / "f" / "config.yaml").read_text())["data"]["taxonomy"] == "truckscenes"
    (tmp_path / "f" / "evaluation" / "val" / "metrics.json").unlink()
    assert avjepa("evaluate", "--run", tmp_path / "f") == 0
    metrics = json.loads((tmp_path / "f" / "evaluation" / "val" / "metrics.json").read_text())
    assert metrics["samples"] == 4 and "devkit knows nuScenes' classes alone" in metrics["evaluator"]


def test_inspect_finds_nothing_broken(truckscenes: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert avjepa("inspect", "--data", truckscenes, "--version", VERSION, "--json") == 0
    report = json.loads(capfd.readouterr().out)
    assert report["problems"] == []


def test_radar_pre_trains(truckscenes: Path, tmp_path: Path) -> None:
    quick = ("--data.workers", 0, "--data.batch_size", 2, "--steps", 2, "--data.split", "null")
    source = ("--config", "pretrain/radar_tiny", "--data", truckscenes, "--version", VERSION)
    assert avjepa("pretrain", *source, *quick, "--out", tmp_path / "radar") == 0
    assert (tmp_path / "radar" / "backbone" / "model.safetensors").is_file()
