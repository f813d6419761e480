"""Branches that were pre-trained by themselves become one detector, which is scored with any of its sensors."""

import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from avjepa.bundle.construction import build
from avjepa.bundle.files import save_bundle
from avjepa.encoders.base import SensorEncoder
from tests.commands.test_training import CONFIGS, QUICK, VERSION, avjepa

SMALLER = ("--data.image_size=[64, 112]",)
SENSORS = ("lidar", "camera", "radar")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Branches with random weights: what pre-training leaves in a bundle is told by other tests."""
    out = tmp_path_factory.mktemp("branches")
    torch.manual_seed(0)
    for sensor in SENSORS:
        config = yaml.safe_load((CONFIGS / "encoder" / f"{sensor}_coarse.yaml").read_text())
        save_bundle(build(SensorEncoder, config, sensor), out / sensor, {})
    return {sensor: out / sensor for sensor in SENSORS}


def option(bundles: dict[str, Path], *sensors: str) -> str:
    return ",".join(f"{sensor}={bundles[sensor]}" for sensor in sensors or bundles)


def finetune(tiny: Path, out: Path, *more: object) -> int:
    config = CONFIGS / "finetune" / "fusion_coarse.yaml"
    source = ("--config", config, "--data", tiny, "--version", VERSION, "--out", out)
    return avjepa("finetune", *source, *QUICK, *SMALLER, *more)


@pytest.fixture(scope="module")
def fused(tiny: Path, bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fused") / "run"
    assert finetune(tiny, out, "--bundles", option(bundles), "--steps", 2) == 0
    return out


def test_a_fused_detector_starts_from_the_branches_and_leaves_them(fused: Path, bundles: dict[str, Path]) -> None:
    state = torch.load(fused / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for sensor, bundle in bundles.items():
        for name, tensor in load_file(bundle / "model.safetensors").items():
            assert torch.equal(state[f"model.backbone.branches.{sensor}.{name}"], tensor), (sensor, name)
    assert json.loads((fused / "evaluation" / "val" / "metrics.json").read_text())["samples"] == 4


def test_it_is_scored_with_any_of_its_sensors(fused: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert avjepa("evaluate", "--run", fused, "--sensors", "radar,lidar", "--fast") == 0
    found = fused / "evaluation" / "val_lidar+radar" / "predictions.json"
    uses = json.loads(found.read_text())["meta"]
    assert (uses["use_lidar"], uses["use_radar"], uses["use_camera"]) == (True, True, False)
    assert avjepa("evaluate", "--run", fused, "--sensors", "sonar") == 2
    assert (
        "--sensors sonar: 'sonar' is no sensor of this run; choose of lidar, radar, camera, as in --sensors "
        "lidar,radar\n" in capsys.readouterr().err
    )
    assert avjepa("evaluate", "--run", fused, "--sensors", "lidar,lidar") == 2
    assert "--sensors lidar,lidar: names lidar twice" in capsys.readouterr().err


def test_robustness_scores_every_subset_and_goes_on_where_it_stopped(
    fused: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("robustness", "--run", fused, "--accelerator", "cpu", "--publish", tmp_path)
    assert avjepa(*options, "--subsets_only") == 0
    folder = fused / "robustness" / "val"
    with (folder / "robustness.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sensors"] for row in rows] == ["C+L+R", "C+L", "C+R", "L+R", "C", "L", "R"]
    assert {row["degradation"] for row in rows} == {"none"} and all(row["mAP"] and not row["IoU"] for row in rows)
    (folder / "R_none" / "figures.json").unlink()
    kept = (folder / "L_none" / "figures.json").stat().st_mtime_ns
    capsys.readouterr()
    assert avjepa(*options) == 0
    assert (folder / "L_none" / "figures.json").stat().st_mtime_ns == kept
    said = capsys.readouterr().err
    assert "R, none: mAP" in said and "\nL, none" not in said
    assert "camera 100 ms late: " in said and "has no camera data between its keyframes" in said
    with (tmp_path / "robustness.csv").open() as file:
        published = list(csv.DictReader(file))
    assert len(published) == len({(row["sensors"], row["degradation"]) for row in published}) > 7 + 8
    assert (folder / "robustness.png").stat().st_size > 5000


def test_any_two_bundles_are_fused_and_can_be_pretrained_together(
    tiny: Path, bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIGS / "pretrain" / "fusion_tiny.yaml"
    two = ("--bundles", option(bundles, "lidar", "radar"))
    source = ("--data", tiny, "--version", VERSION)
    assert avjepa("pretrain", "--config", config, *source, "--out", tmp_path / "p", *QUICK, "--steps", 1, *two) == 0
    assert "data.sensors: lidar, radar, those of --bundles" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "p" / "backbone" / "config.json").read_text())
    assert set(manifest["architecture"]["init_args"]["branches"]) == {"lidar", "radar"}
    start = ("--bundle", tmp_path / "p" / "backbone", "--data.sensors=[lidar, radar]", "--evaluate", "false")
    assert finetune(tiny, tmp_path / "f", *start, "--steps", 1, "--model.mode", "frozen") == 0


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("lidar", "--bundles lidar: give every sensor once"),
        ("sonar=x", "--bundles sonar=...: no such sensor; use camera, lidar, radar"),
        ("lidar=nowhere", "nowhere/config.json: no such file"),
    ],
)
def test_wrong_bundles_are_one_line(
    value: str, complaint: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(tiny, tmp_path / "run", "--bundles", value, "--steps", 1) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_detector_of_one_sensor_takes_no_bundles(
    tiny: Path, bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIGS / "finetune" / "lidar_tiny.yaml"
    source = ("--config", config, "--data", tiny, "--version", VERSION, "--out", tmp_path / "run", "--steps", 1)
    assert avjepa("finetune", *source, "--bundles", option(bundles, "lidar")) == 2
    assert "--bundles: model.backbone is no fused backbone" in capsys.readouterr().err


def test_what_a_bundle_reads_is_held_to_its_name(
    tiny: Path, bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = f"lidar={bundles['lidar']},radar={bundles['lidar']}"
    assert finetune(tiny, tmp_path / "run", "--bundles", swapped, "--steps", 1) == 2
    assert "that of radar is a LidarEncoder, which reads lidar" in capsys.readouterr().err
    unseen = '[{"share": 1.0, "sensors": ["camera"], "sensor_dropout": 0.0}]'
    two = ("--bundles", option(bundles, "lidar", "radar"), "--model.stages", unseen)
    assert finetune(tiny, tmp_path / "run", *two, "--steps", 1) == 2
    assert "number 0 shows camera alone, and the network reads lidar, radar of data.sensors" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
