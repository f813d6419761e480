"""A training that cannot begin leaves its folder as it was; one that is finished says what it left there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avjepa.training.metrics import read_curves
from tests.commands.small import small
from tests.commands.test_bad_input import refused, truncate
from tests.commands.test_training import VERSION


@pytest.fixture(scope="module")
def pretrained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small backbone after one step."""
    run = tmp_path_factory.mktemp("pretrained") / "run"
    assert small("pretrain", tiny, run, "--steps", 1) == 0
    return run


def test_a_finished_training_says_what_it_left_where(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert small("pretrain", tiny, run, "--steps", 2) == 0
    _, losses = read_curves(run / "metrics.csv")["train/loss"]
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "steps done" in line]
    assert f"2 steps done, final loss {losses[-1]:.4g}; checkpoint {run}/checkpoints/last.ckpt" in line
    assert f"curves {run}/metrics.csv and {run}/tensorboard" in line


def change_table(data: Path, table: str, change: Callable[[list[Any]], object]) -> None:
    path = data / VERSION / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("pretrain", ["--steps", 0], ["--steps", "at least 1"]),
        ("finetune", ["--steps", -3], ["max_steps"]),
        ("pretrain", [], ["--steps", "not given"]),
        ("finetune", ["--validate_every", 1, "--data.validation_split", "val"], ["--steps", "not given"]),
        ("pretrain", ["--steps", 1, "--export", "nobody"], ["--export nobody", "encoder or target.teacher"]),
        ("pretrain", ["--steps", 1, "--data.split", "nope"], ["--data.split", "'nope'", "train, val"]),
        ("finetune", ["--steps", 1, "--data.train_split", "nope"], ["--data.train_split", "'nope'", "train, val"]),
        ("pretrain", ["--steps", 1, "--data.scenes", 9], ["scenes", "9"]),
        ("finetune", ["--steps", 1, "--data.scenes", "[scene-0001]"], ["scenes", "scene-0001"]),
        ("pretrain", ["--steps", 1, "--model.schedule", "constant", "--model.warmup_fraction", 1.0,
                      "--model.cooldown_fraction", 1.0], ["cool"]),
        ("pretrain", ["--steps", 1, "--ckpt_path", "nothing.ckpt"], ["nothing.ckpt"]),
        ("pretrain", ["--steps", 1, "--data.sensors=[radar]"], ["data.sensors: radar, of which", "add lidar"]),
        ("pretrain", ["--steps", 1, "--data.target_sensors=[camera]"], ["data.target_sensors: camera", "add lidar"]),
        ("finetune", ["--steps", 1, "--data.sensors=[radar, camera]"], ["data.sensors: radar, camera", "add lidar"]),
    ],
)  # fmt: skip
def test_options_that_no_training_can_begin_with(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, options: list[Any], words: list[str]
) -> None:
    refused(capfd, small(command, tiny, tmp_path / "out", *options), *words)
    assert not (tmp_path / "out").exists()


def test_no_box_to_learn_from(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change_table(copy, "sample_annotation", list.clear)
    refused(capfd, small("finetune", copy, tmp_path / "out", "--steps", 1), "no keyframe has an annotated box")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("field", "value"), [("translation", ["here", 0, 0]), ("num_lidar_pts", "many")])
def test_annotation_of_another_type(
    copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], field: str, value: object
) -> None:
    change_table(copy, "sample_annotation", lambda rows: rows[0].update({field: value}))
    refused(capfd, small("finetune", copy, tmp_path / "out", "--steps", 1), "sample_annotation.json", field)
    assert not (tmp_path / "out").exists()


def test_bundle_that_was_cut_off(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(pretrained / "backbone", tmp_path / "backbone")
    truncate(bundle / "model.safetensors")
    refused(capfd, small("finetune", tiny, tmp_path / "out", "--steps", 1, "--bundle", bundle), "model.safetensors")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--steps", 0], ["--export", "nobody"], ["--seed", 5, "--ckpt_path", "last"]])
def test_a_run_that_is_there_stays_as_it_was(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[Any]
) -> None:
    run = shutil.copytree(pretrained, tmp_path / "run")
    before = contents(run)
    refused(capfd, small("pretrain", tiny, run, "--steps", 2, *options))
    assert contents(run) == before


def test_the_folder_of_a_run_is_no_bundle_but_holds_one(
    pretrained: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ("--steps", 1, "--bundle", pretrained)
    refused(capfd, small("finetune", tiny, tmp_path / "out", *given), f"is the folder {pretrained / 'backbone'}")


def test_configuration_file_that_is_not_there(tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = small("pretrain", tiny, tmp_path / "out", "--steps", 1, "--config", "nowhere.yaml")
    refused(capfd, code, "--config nowhere.yaml: there is no such file")
