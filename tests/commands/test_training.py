"""``pretrain``, ``finetune`` and ``evaluate`` as a user runs them, over the real configurations, on tiny data."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from avjepa import cli

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SENSORS = ("lidar", "camera", "radar")
VERSION = "v1.0-tiny"
QUICK = ("--data.workers", "0", "--data.batch_size", "2")


def avjepa(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def pretrain(data: Path, out: Path, sensor: str, *more: object) -> int:
    config = CONFIGS / "pretrain" / f"{sensor}_tiny.yaml"
    return avjepa("pretrain", "--config", config, "--data", data, "--version", VERSION, "--out", out, *QUICK, *more)


def finetune(data: Path, out: Path, sensor: str, *more: object) -> int:
    config = CONFIGS / "finetune" / f"{sensor}_tiny.yaml"
    return avjepa("finetune", "--config", config, "--data", data, "--version", VERSION, "--out", out, *QUICK, *more)


@pytest.fixture(scope="module")
def pretrained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained")
    assert pretrain(tiny, out, "lidar", "--steps", 3) == 0
    return out


@pytest.mark.parametrize("sensor", SENSORS)
def test_pretrain_finetune_evaluate(tiny: Path, tmp_path: Path, sensor: str) -> None:
    assert pretrain(tiny, tmp_path / "p", sensor, "--steps", 2) == 0
    manifest = json.loads((tmp_path / "p" / "backbone" / "config.json").read_text())
    weights = load_file(tmp_path / "p" / "backbone" / "model.safetensors")
    assert manifest["tensors"] == len(weights) > 20
    record = json.loads((tmp_path / "p" / "provenance.json").read_text())
    assert (record["finished"], record["steps"], record["seed"]) == (True, 2, 0)

    start = ("--bundle", tmp_path / "p" / "backbone", "--model.mode", "frozen")
    assert finetune(tiny, tmp_path / "f", sensor, "--steps", 2, *start) == 0
    checkpoint = torch.load(tmp_path / "f" / "checkpoints" / "last.ckpt", weights_only=True)
    for name, tensor in weights.items():
        assert torch.equal(checkpoint["state_dict"][f"model.backbone.{name}"], tensor), f"frozen, but {name} moved"

    scored = tmp_path / "f" / "evaluation" / "val" / "metrics.json"
    first = json.loads(scored.read_text())
    assert first["samples"] == 4
    scored.unlink()
    assert avjepa("evaluate", "--run", tmp_path / "f") == 0
    again = json.loads(scored.read_text())
    assert (again["mean_ap"], again["nd_score"]) == (first["mean_ap"], first["nd_score"])


@pytest.mark.parametrize("folder", ["pretrain", "finetune"])
@pytest.mark.parametrize("size", ["", "_tiny"])
def test_sensors_differ_in_their_encoder_alone(folder: str, size: str) -> None:
    def without_sensor(sensor: str) -> Any:
        config = yaml.safe_load((CONFIGS / folder / f"{sensor}{size}.yaml").read_text())
        assert config["data"].pop("sensors") == [sensor]
        owner = config["model"]["objective"]["init_args"] if folder == "pretrain" else config["model"]
        encoder = owner.pop("encoder" if folder == "pretrain" else "backbone")
        assert encoder.startswith(f"../encoder/{sensor}_")
        if folder == "finetune" and sensor == "camera":
            # and in the neck: transposed convolutions would put a lattice into the camera's smooth map
            assert config["model"]["neck"]["init_args"].pop("upsampling") == "bilinear"
        if folder == "pretrain":
            # and in the target, which sees the same sensor beside the LiDAR
            assert set(config["data"].pop("target_sensors")) == {sensor, "lidar"}
        return config

    lidar, camera, radar = map(without_sensor, SENSORS)
    assert lidar == camera == radar


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_configuration_is_accepted(
    path: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if path.parent.name not in ("pretrain", "finetune"):
        pytest.skip("used by other configurations or by another command")
    with pytest.raises(SystemExit) as stop:
        avjepa(path.parent.name, "--config", path, "--data", tiny, "--out", tmp_path, "--print_config")
    assert stop.value.code in (0, None)
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["data"]["dataroot"] == str(tiny)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_a_step_of_every_full_size_network(command: str, sensor: str, tiny: Path, tmp_path: Path) -> None:
    """As shipped, layer by layer; a quarter of the area, smaller images and one sample are what a test can afford."""
    encoder = "--model.objective.init_args.encoder" if command == "pretrain" else "--model.backbone"
    grid = "{x_min: -25.6, x_max: 25.6, y_min: -25.6, y_max: 25.6, cell: 0.8}"
    smaller = (f"{encoder}.init_args.token_grid={grid}", "--data.image_size=[64, 192]", "--data.batch_size=1")
    here = ("--data.workers=0", "--trainer.accelerator=cpu", "--trainer.precision=32-true", "--steps=1")
    unscored = ("--evaluate=false",) if command == "finetune" else ()
    source = ("--config", CONFIGS / command / f"{sensor}.yaml", "--data", tiny, "--version", VERSION)
    assert avjepa(command, *source, "--out", tmp_path, *smaller, *here, *unscored) == 0
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    moments = checkpoint["optimizer_states"][0]["state"].values()
    assert checkpoint["global_step"] == 1 and len(moments) > 50
    assert all(moment["exp_avg"].isfinite().all() for moment in moments)
    reached = sum(bool(moment["exp_avg"].any()) for moment in moments)
    # one moment may hold boxes of one group of classes alone: five towers of 14 tensors have nothing to regress
    silent = 5 * 14 if command == "finetune" else 0
    assert reached > 0.95 * (len(moments) - silent), "a gradient reached nearly every tensor"


def test_resumed_run_ends_with_the_same_weights(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # the schedule of three steps, interrupted after two of them
    stop = ("--trainer.callbacks+=tests.commands.stop_early.StopAfter", "--trainer.callbacks.steps", 2)
    assert pretrain(tiny, tmp_path, "lidar", "--steps", 3, "--checkpoint_every", 1, *stop) == 130
    said = capfd.readouterr().err
    assert said.lower().count("interrupt") == 1 and "stopped at step 2; the last checkpoint is of step 2" in said
    assert not (tmp_path / "backbone").exists(), "an interrupted run leaves no backbone"
    assert pretrain(tiny, tmp_path, "lidar", "--steps", 3, "--ckpt_path", "last") == 0
    expected = load_file(pretrained / "backbone" / "model.safetensors")
    found = load_file(tmp_path / "backbone" / "model.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_real_keyframe_pretrains(real_keyframe: Path, tmp_path: Path) -> None:
    source = ("--data", real_keyframe, "--version", "v1.0-mini", "--data.split", "mini_train")
    for sensor in SENSORS:
        config = CONFIGS / "pretrain" / f"{sensor}_tiny.yaml"
        assert avjepa("pretrain", "--config", config, *source, *QUICK, "--steps", 1, "--out", tmp_path / sensor) == 0
        assert (tmp_path / sensor / "backbone" / "config.json").is_file()
