"""Bad input through the commands: one line that names what is wrong, exit code 2, nothing half-written."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avjepa import cli
from tests.commands.small import small
from tests.commands.test_training import VERSION, finetune, pretrain, pretrained

__all__ = ["pretrained"]


def refused(capfd: pytest.CaptureFixture[str], code: int, *words: str) -> None:
    error = capfd.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("avjepa: error: ")]
    assert code == 2, error
    assert len(lines) == 1, error
    assert "Traceback" not in error
    assert error.splitlines()[-1] == lines[0]
    assert all(word in lines[0] for word in words), lines[0]


def lidar_files(data: Path, scene: str = "scene-0000") -> list[Path]:
    """The keyframe clouds of the training scene."""
    tables = {
        name: json.loads((data / VERSION / f"{name}.json").read_text()) for name in ("scene", "sample", "sample_data")
    }
    token = next(row["token"] for row in tables["scene"] if row["name"] == scene)
    samples = {row["token"] for row in tables["sample"] if row["scene_token"] == token}
    return [
        data / row["filename"]
        for row in tables["sample_data"]
        if "LIDAR_TOP" in row["filename"] and row["sample_token"] in samples
    ]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def poison(path: Path) -> None:
    points = np.fromfile(path, np.float32)
    points[1] = np.nan
    points.tofile(path)


@pytest.mark.parametrize("damage", [truncate, poison, Path.unlink])
def test_bad_cloud_stops_with_its_name_or_is_skipped_and_listed(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, damage
) -> None:
    for path in lidar_files(copy)[::2]:
        damage(path)
    refused(capfd, pretrain(copy, tmp_path / "stop", "lidar", "--steps", 6), "LIDAR_TOP", "--on-bad-file skip")
    assert not (tmp_path / "stop").exists(), "nobody can go on from a training without a checkpoint"
    assert pretrain(copy, tmp_path / "skip", "lidar", "--steps", 6, "--on-bad-file", "skip") == 0
    assert "9 bad files were skipped" in caplog.text
    assert all(path.name in caplog.text for path in lidar_files(copy)[::2])


def test_a_training_that_a_bad_file_stops_leaves_the_folder_of_an_earlier_one_as_it_was(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--trainer.log_every_n_steps", 1, "--model.weight_decay")
    assert small("pretrain", copy, tmp_path / "run", "--steps", 1, *options, 0.1) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    truncate(lidar_files(copy)[0])
    capfd.readouterr()
    assert small("pretrain", copy, tmp_path / "run", "--steps", 9, *options, 0.2) == 2
    assert "will be replaced" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before

    assert small("pretrain", copy, tmp_path / "run", "--steps", 9, *options, 0.2, "--checkpoint_every", 1) == 2
    said = capfd.readouterr().err
    step = int(said.split("the last checkpoint is of step ")[1].split(";")[0])
    assert step >= 1 and "--ckpt_path last goes on from it" in said
    assert "weight_decay: 0.2" in (tmp_path / "run" / "config.yaml").read_text(), "of the new checkpoint"


def test_bad_cloud_is_one_line_from_a_worker_process(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in lidar_files(copy):
        truncate(path)
    code = pretrain(copy, tmp_path / "out", "lidar", "--steps", 2, "--data.workers", 1)
    refused(capfd, code, "LIDAR_TOP")


def test_missing_image(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in copy.rglob("*CAM_FRONT*.jpg"):
        path.unlink()
    refused(capfd, pretrain(copy, tmp_path / "out", "camera", "--steps", 2), "CAM_FRONT", ".jpg")


def test_dataset_without_annotations_pretrains(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for table in ("instance", "sample_annotation"):
        (copy / VERSION / f"{table}.json").unlink()
    assert pretrain(copy, tmp_path / "p", "lidar", "--steps", 1) == 0
    capfd.readouterr()
    refused(capfd, finetune(copy, tmp_path / "f", "lidar", "--steps", 1), "instance.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--version", "v1.0-nope"], ["v1.0-nope", VERSION]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--data.split", "nope"], ["nope", "train"]),
        (["--data.sensors", "[sonar]"], ["sensors"]),
        (["--model.objective.init_args.dropp", "1"], ["dropp"]),
        (["--model.lerning_rate", "1"], ["lerning_rate"]),
        (["--data.batch_size", "0"], ["batch_size"]),
        (["--ckpt_path", "nothing.ckpt"], ["nothing.ckpt"]),
        (["--export", "nobody"], ["nobody"]),
    ],
)
def test_bad_options(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options, words) -> None:
    refused(capfd, pretrain(tiny, tmp_path / "out", "lidar", "--steps", 1, *options), *words)


def test_sensor_that_the_dataset_lacks(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy / VERSION / "sample_data.json"
    rows = [row for row in json.loads(path.read_text()) if "RADAR" not in row["filename"]]
    path.write_text(json.dumps(rows))
    refused(capfd, pretrain(copy, tmp_path / "out", "radar", "--steps", 1), "RADAR_FRONT")


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickle_bomb_is_refused_and_not_executed(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bomb, exploded = tmp_path / "bomb.ckpt", tmp_path / "exploded"
    torch.save({"state_dict": {}, "bomb": Bomb(exploded)}, bomb)
    refused(capfd, pretrain(tiny, tmp_path / "out", "lidar", "--steps", 1, "--ckpt_path", bomb), "bomb.ckpt", "refused")
    assert not exploded.exists()
    pickle.loads(pickle.dumps(Bomb(exploded)))
    assert exploded.exists(), "the bomb is real"


def test_a_configured_backbone_gives_way_to_the_bundles_and_that_is_said(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = "{x_min: -25.6, x_max: 25.6, y_min: -25.6, y_max: 25.6, cell: 0.8}"
    code = finetune(
        tiny, tmp_path / "out", "lidar", "--steps", 1, "--bundle", pretrained / "backbone",
        "--model.backbone.token_grid", other, "--evaluate", "false",
    )  # fmt: skip
    assert code == 0
    assert (
        "model.backbone is the bundle's; the configured one differs in init_args.token_grid" in capfd.readouterr().err
    )
    used = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["model"]["backbone"]
    assert used["init_args"]["token_grid"]["x_max"] == 51.2


def test_checkpoints_that_cannot_be_used(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = pretrained / "checkpoints" / "last.ckpt"
    assert finetune(tiny, tmp_path / "f", "lidar", "--steps", 1, "--evaluate", "false") == 0
    capfd.readouterr()
    evaluate = ["evaluate", "--run", str(tmp_path / "f"), "--checkpoint"]
    refused(capfd, cli.main([*evaluate, str(other)]), "last.ckpt", "another model")

    good = torch.load(tmp_path / "f" / "checkpoints" / "last.ckpt", weights_only=True)
    name = next(iter(good["state_dict"]))
    spoilt = {
        "nan": {**good, "state_dict": {**good["state_dict"], name: good["state_dict"][name] * torch.nan}},
        "type": {**good, "state_dict": {**good["state_dict"], name: "text"}},
        "shape": {**good, "state_dict": {**good["state_dict"], name: good["state_dict"][name][None]}},
        **{part: {k: v for k, v in good.items() if k != part} for part in ("optimizer_states", "loops")},
        "version": {**good, "pytorch-lightning_version": "new"},
    }
    for label, content in spoilt.items():
        path = tmp_path / f"{label}.ckpt"
        torch.save(content, path)
        if label in ("nan", "type", "shape"):
            refused(capfd, cli.main([*evaluate, str(path)]), f"{label}.ckpt", name)
        resumed = finetune(tiny, tmp_path / "f", "lidar", "--steps", 2, "--evaluate", "false", "--ckpt_path", path)
        refused(capfd, resumed, "checkpoint")
    assert not (tmp_path / "f" / "evaluation").exists()


def test_backbone_that_was_tampered_with(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pretrained / "backbone", tmp_path / "backbone")
    weights = tmp_path / "backbone" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    code = finetune(tiny, tmp_path / "out", "lidar", "--steps", 1, "--bundle", tmp_path / "backbone")
    refused(capfd, code, "model.safetensors", "sha256")


@pytest.mark.parametrize("command", ["inspect", "view"])
def test_reading_commands_name_the_version(tiny: Path, capfd: pytest.CaptureFixture[str], command: str) -> None:
    refused(capfd, cli.main([command, "--data", str(tiny), "--version", "v1.0-nope"]), "v1.0-nope", VERSION)


def test_view_refuses_tokens_and_numbers_that_are_not_there(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = ["--data", str(tiny), "--version", VERSION, "--out", str(tmp_path / "x.png")]
    refused(capfd, cli.main(["view", *source, "--token", "abc"]), "abc")
    refused(capfd, cli.main(["view", *source, "--index", "99"]), "99", "8")
    assert not (tmp_path / "x.png").exists()


def test_real_metadata_with_missing_files(
    real_metadata: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = ("--version", "v1.0-mini", "--data.split", "null", "--steps", 2)
    refused(capfd, pretrain(real_metadata, tmp_path / "stop", "lidar", *source), "LIDAR_TOP", "--on-bad-file skip")
    assert pretrain(real_metadata, tmp_path / "skip", "lidar", *source, "--on-bad-file", "skip") == 0
    assert (tmp_path / "skip" / "backbone" / "config.json").is_file()
