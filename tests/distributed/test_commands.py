"""The commands as a user runs them, on two processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from avjepa.training.metrics import read_rows
from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN
from tests.commands.test_training import VERSION, avjepa
from tests.distributed.processes import command_on_two_processes

TWO = ("--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp")


def lightning_starts(*arguments: object) -> subprocess.CompletedProcess[str]:
    """``avjepa ARGUMENTS``; Lightning starts the second process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOCAL_", "PL_"))}
    return subprocess.run(
        [sys.executable, "-m", "avjepa.cli", *map(str, arguments)],
        env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    for name, content in (("pretrain", PRETRAIN), ("finetune", FINETUNE)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def source(configs: Path, command: str, data: Path, out: Path) -> tuple[object, ...]:
    return "--config", configs / f"{command}.yaml", "--data", data, "--version", VERSION, "--out", out


def scores(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """What a scoring has written: predictions, and metrics without the time it took."""
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["seconds"]
    return (folder / "predictions.json").read_bytes(), metrics


@pytest.fixture(scope="module")
def finetuned(configs: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Validated and scored on four keyframes in one batch: there is none for the second process."""
    out = tmp_path_factory.mktemp("finetuned")
    validation = ("--data.validation_split=val", "--validate_every=1", "--score_validation=true")
    result = lightning_starts(
        "finetune", *source(configs, "finetune", tiny, out), *TWO, *validation, "--steps=2", "--data.batch_size=4"
    )
    assert result.returncode == 0, result.stderr
    return out


def test_finetuning_on_two_processes_predicts_and_scores_as_one_does(finetuned: Path) -> None:
    evaluation = finetuned / "evaluation" / "val"
    expected = scores(evaluation)
    assert expected[1]["samples"] == 4
    shutil.rmtree(evaluation)
    # the run was trained on two processes with DDP; evaluate looks at what there is here
    assert avjepa("evaluate", "--run", finetuned) == 0
    assert scores(evaluation) == expected
    validations = [row for row in read_rows(finetuned / "metrics.csv") if "val/loss" in row]
    assert [row["step"] for row in validations] == [0, 1]
    assert validations[1]["val/detection/NDS"] == pytest.approx(expected[1]["nd_score"], abs=1e-9)


def test_a_run_of_sixteen_gpus_is_scored_where_there_is_none(finetuned: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finetuned, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["trainer"] |= {
        "accelerator": "gpu",
        "devices": 8,
        "num_nodes": 2,
        "strategy": "ddp",
        "precision": "16-mixed",
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.rmtree(run / "evaluation")
    assert avjepa("evaluate", "--run", run, "--accelerator", "cpu") == 0
    predictions, _ = scores(run / "evaluation" / "val")
    assert predictions == (finetuned / "evaluation" / "val" / "predictions.json").read_bytes()


def test_evaluating_uneven_shards(finetuned: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finetuned, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["batch_size"] = 3  # three keyframes in one process, one in the other
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert avjepa("evaluate", "--run", run, "--accelerator", "cpu") == 0
    expected = scores(run / "evaluation" / "val")
    shutil.rmtree(run / "evaluation")
    ended = command_on_two_processes("evaluate", "--run", run, "--accelerator=cpu", "--devices=2")
    assert ended.codes == [0, 0], ended.stderr
    assert scores(run / "evaluation" / "val") == expected


@pytest.fixture
def with_a_bad_file(copy: Path) -> Path:
    """A LiDAR sweep of the training scene is cut off in the middle of a point."""
    sweep = sorted((copy / "samples" / "LIDAR_TOP").iterdir())[1]
    sweep.write_bytes(sweep.read_bytes()[:-7])
    return copy


def lines_of(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.strip()]


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_a_process_meets_a_bad_file_while_the_other_waits(
    command: str, configs: Path, with_a_bad_file: Path, tmp_path: Path
) -> None:
    ended = command_on_two_processes(
        command, *source(configs, command, with_a_bad_file, tmp_path / "run"), *TWO, "--steps=8", "--data.batch_size=1"
    )
    assert ended.codes == [2, 2], ended.stderr
    errors = [line for line in lines_of(ended.stderr) if "warning" not in line.lower()]
    assert len(errors) == 1 and "LIDAR_TOP" in errors[0], ended.stderr


def test_a_bad_file_where_lightning_starts_the_second_process(
    configs: Path, with_a_bad_file: Path, tmp_path: Path
) -> None:
    arguments = source(configs, "pretrain", with_a_bad_file, tmp_path / "run")
    result = lightning_starts("pretrain", *arguments, *TWO, "--steps=8", "--data.batch_size=1")
    assert result.returncode == 2, result.stderr
    assert len(lines_of(result.stderr)) == 1 and "LIDAR_TOP" in result.stderr, result.stderr


def test_pretraining_on_two_processes_writes_a_bundle(configs: Path, tiny: Path, tmp_path: Path) -> None:
    ended = command_on_two_processes("pretrain", *source(configs, "pretrain", tiny, tmp_path), *TWO, "--steps=2")
    assert ended.codes == [0, 0], ended.stderr
    assert json.loads((tmp_path / "provenance.json").read_text())["processes"] == 2
    assert (tmp_path / "backbone" / "config.json").is_file()
