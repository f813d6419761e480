"""Every command that reads a data set, on logs of Argoverse 2."""

import json
from pathlib import Path

import pytest
import yaml

from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN
from tests.commands.test_training import avjepa
from tests.data.argoverse2.conftest import argoverse2
from tests.data.argoverse2.maker import SWEEPS

__all__ = ["argoverse2"]


def written(folder: Path, name: str, content: dict[str, object]) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_pack_pretrain_finetune_and_evaluate(argoverse2: Path, tmp_path: Path) -> None:
    data = ("--data", argoverse2, "--version", "sensor")
    config = ("--config", written(tmp_path, "pretrain", PRETRAIN))
    assert avjepa("pack", *config, *data, "--data.split", "train", "--out", tmp_path / "cache") == 0
    cached = ("--data.cache", tmp_path / "cache", "--data.split", "train", "--steps", 2)
    assert avjepa("pretrain", *config, *data, *cached, "--out", tmp_path / "p") == 0
    config = ("--config", written(tmp_path, "finetune", FINETUNE))
    start = ("--bundle", tmp_path / "p" / "backbone", "--steps", 2)
    every = ("--model.tasks.detection.init_args.head.init_args.score_threshold", 0.0)
    assert avjepa("finetune", *config, *data, *start, *every, "--out", tmp_path / "f") == 0
    recorded = yaml.safe_load((tmp_path / "f" / "config.yaml").read_text())
    assert recorded["data"]["taxonomy"] == "argoverse2", "which classes it has does not depend on the folder later"
    folder = tmp_path / "f" / "evaluation" / "val"
    results = json.loads((folder / "predictions.json").read_text())["results"]
    assert set(results) == set(open_dataset(argoverse2, "sensor").keyframe_tokens(["log-c"]))
    names = {box["detection_name"] for boxes in results.values() for box in boxes}
    assert names and names <= set(load_taxonomy("argoverse2").classes)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["samples"] == SWEEPS and "devkit knows" in metrics["evaluator"]
    assert (folder / "detections.feather").is_file() and json.loads((folder / "argoverse2.json").read_text())["classes"]
    (folder / "metrics.json").unlink()
    assert avjepa("evaluate", "--run", tmp_path / "f") == 0 and (folder / "metrics.json").is_file()
    seen = ("--predictions", folder / "predictions.json", "--minimum_score", 0.0, "--split", "val")
    assert avjepa("view", *data, *seen, "--out", tmp_path / "seen.png") == 0 and (tmp_path / "seen.png").is_file()


def test_events_are_mined(argoverse2: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "events.json"
    assert avjepa("reid", "mine", "--data", argoverse2, "--version", "sensor", "--split", "train", "--out", out) == 0
    assert json.loads(out.read_text())["split"] == "train"


def test_inspect_reads_it_by_its_own_channels_and_classes(argoverse2: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert avjepa("inspect", "--data", argoverse2, "--version", "sensor", "--json") == 0
    report = json.loads(capfd.readouterr().out)
    assert report["channels"]["lidar"] == "lidar" and report["keyframes"] == 4 * SWEEPS


def test_cameras_pre_train(argoverse2: Path, tmp_path: Path) -> None:
    quick = ("--data.workers", 0, "--data.batch_size", 1, "--steps", 1, "--data.split", "train")
    source = ("--config", "pretrain/camera_tiny", "--data", argoverse2, "--version", "sensor")
    assert avjepa("pretrain", *source, *quick, "--out", tmp_path / "camera") == 0
    assert (tmp_path / "camera" / "backbone" / "model.safetensors").is_file()


def test_radar_is_refused_with_the_channels_that_there_are(
    argoverse2: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = ("--config", "pretrain/radar_tiny", "--data", argoverse2, "--version", "sensor", "--steps", 1)
    assert avjepa("pretrain", *source, "--out", tmp_path / "radar") == 2
    said = capfd.readouterr().err
    assert "has no radar channel (none is named); its channels are lidar, ring_front_center" in said
    assert not (tmp_path / "radar").exists()
