"""Studies that are killed: nothing is lost, nothing lives on, and the same command goes on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from avjepa import cli
from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN, STUDY
from tests.data.conftest import VERSION, build
from tests.living import Marked, wait_until

TUNE = {"labels": 1, "frozen": [{"learning_rate": 1e-3}], "end_to_end": [{"learning_rate": 1e-3}]}
TIMES = ("seconds", "pretrain_seconds")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A study of two detectors on one random backbone, without --out."""
    folder = tmp_path_factory.mktemp("study")
    root = build(folder / "data", channels=("LIDAR_TOP",))
    splits = {"train": ["scene-0000", "scene-0001"], "val": ["scene-0000"], "test": ["scene-0001"]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    study = {**STUDY, "labels": [1], "methods": {"scratch": {}}, "tune": TUNE}
    for name, content in (("pretrain", PRETRAIN), ("finetune", FINETUNE), ("study", study)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return ["label-efficiency", "--config", str(folder / "study.yaml"), "--data", str(root), "--version", VERSION]


def outcomes(out: Path) -> dict[str, Any]:
    found = {path.stem: json.loads(path.read_text()) for path in (out / "outcomes").glob("*.json")}
    return {name: {k: v for k, v in outcome.items() if k not in TIMES} for name, outcome in found.items()}


def test_killed_between_the_last_checkpoint_and_the_record_it_goes_on_to_the_same_record(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    killed = [*arguments, "--out", str(tmp_path / "killed")]
    marked = Marked(
        "import os, signal; from avjepa import cli; from avjepa.study import worker\n"
        "worker.predict_split = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"cli.main({killed!r})"
    )
    assert marked.process.wait() == -signal.SIGKILL
    assert list((tmp_path / "killed").glob("work/*/checkpoints/last.ckpt")), "trained"
    assert len(outcomes(tmp_path / "killed")) == 1, "the backbone alone"
    capsys.readouterr()
    assert cli.main(killed) == 0
    assert "waiting" not in capsys.readouterr().err, "the lease of the dead is taken at once"
    assert outcomes(tmp_path / "killed") == outcomes(tmp_path / "whole")


def test_no_worker_outlives_a_killed_study(arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    marked = Marked(
        "import time; from avjepa import cli; from avjepa.study.worker import Worker\n"
        "Worker._trained = lambda *a: time.sleep(600)\n"
        f"if __name__ == '__main__': cli.main({[*arguments, '--out', str(out), '--processes', '2']!r})"
    )
    assert wait_until(lambda: len(marked.living()) >= 2 and len(list((out / "leases").glob("*.0"))) == 1)
    marked.kill()
    assert wait_until(lambda: not marked.living(), 10), marked.living()


def test_different_networks_are_not_compared(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(arguments[2]).parent
    encoder = {"init_args": {"voxel_size": 0.4, "strides": [2, 2]}}
    overrides = {"model": {"objective": {"init_args": {"encoder": encoder}}}}
    method = {"pretrain": "pretrain.yaml", "overrides": overrides}
    study = yaml.safe_load((folder / "study.yaml").read_text()) | {"methods": {"scratch": {}, "jepa": method}}
    (folder / "two.yaml").write_text(yaml.safe_dump(study))
    out = tmp_path / "out"
    assert cli.main(["label-efficiency", "--config", str(folder / "two.yaml"), *arguments[3:], "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert "methods.jepa: its backbone is not the network of finetune: init_args.voxel_size is 0.4, not 0.8" in told
    assert not (out / "outcomes").exists()
    del method["overrides"]
    study["finetune_overrides"] = {"model": {"backbone": {"init_args": {"out_channels": 4}}}}
    (folder / "two.yaml").write_text(yaml.safe_dump(study))
    assert cli.main(["label-efficiency", "--config", str(folder / "two.yaml"), *arguments[3:], "--out", str(out)]) == 2
    assert "init_args.out_channels is 8, not 4" in capsys.readouterr().err


def test_data_without_the_configured_sensor_is_refused_before_anything_is_written(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(arguments[2]).parent
    detector = {**FINETUNE, "data": {**FINETUNE.get("data", {}), "channels": {"lidar": ["LIDAR_REAR"]}}}
    (folder / "rear.yaml").write_text(yaml.safe_dump(detector))
    study = yaml.safe_load((folder / "study.yaml").read_text()) | {"finetune": "rear.yaml"}
    (folder / "rear_study.yaml").write_text(yaml.safe_dump(study))
    rear = [str(folder / "rear_study.yaml") if word.endswith("study.yaml") else word for word in arguments]
    assert cli.main([*rear, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err.strip()
    assert "LIDAR_REAR" in message
    assert "LIDAR_TOP" in message
    assert message.count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_a_refused_configuration_leaves_the_record_of_failures_and_nothing_of_its_own(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = Path(arguments[2]).parent, tmp_path / "out"
    model = {**FINETUNE["model"], "learning_rate": -1.0}
    (folder / "wrong.yaml").write_text(yaml.safe_dump({**FINETUNE, "model": model}))
    study = yaml.safe_load((folder / "study.yaml").read_text()) | {"finetune": "wrong.yaml"}
    (folder / "wrong_study.yaml").write_text(yaml.safe_dump(study))
    wrong = [str(folder / "wrong_study.yaml") if word.endswith("study.yaml") else word for word in arguments]
    assert cli.main([*wrong, "--out", str(out)]) == 2
    assert "finetune: model.learning_rate: must be above 0" in capsys.readouterr().err
    assert not out.exists()
    failed = out / "failures" / "job.json"
    failed.parent.mkdir(parents=True)
    failed.write_text("{}")
    assert cli.main([*wrong, "--out", str(out), "--retry_failed"]) == 2
    assert [path for path in out.rglob("*") if path.is_file()] == [failed]


def test_a_broken_table_of_all_sensors_is_said_before_anything_is_trained(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "label_efficiency.csv").write_text("a,b\n1,2\n")
    assert cli.main([*arguments, "--out", str(tmp_path / "out"), "--publish", str(tmp_path)]) == 2
    message = capsys.readouterr().err.strip()
    assert "label_efficiency.csv: cannot be read as a table" in message and message.count("\n") == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"methods": 1}', "\x00"])
def test_broken_record_of_the_study_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "study.json").write_text(content)
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 2
    message = capsys.readouterr().err.strip()
    assert "study.json" in message
    assert message.count("\n") == 0
    assert (tmp_path / "study.json").read_text() == content


@pytest.mark.parametrize("options", [(), ("--report_only",)])
@pytest.mark.parametrize("record", ["outcomes/pretrain-scratch-p0-0.json", "failures/pretrain-scratch-p0-0.json"])
def test_what_is_said_of_a_job_and_is_damaged_is_one_line_before_anything_is_done(
    record: str, options: tuple[str, ...], arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / record).parent.mkdir()
    (tmp_path / record).write_text("{}")
    (tmp_path / "study.json").write_text("{}")
    assert cli.main([*arguments, "--out", str(tmp_path), *options]) == 2
    message = capsys.readouterr().err.strip()
    assert f"{tmp_path / record}: " in message and "delete it to have the job done again" in message
    assert message.count("\n") == 0
    assert not (tmp_path / "work").exists() and not (tmp_path / "label_efficiency.csv").exists()


@pytest.mark.parametrize("content", ["{", "[]"])
def test_broken_account_of_a_synthetic_world_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    account = Path(arguments[4]) / VERSION / "synth.json"
    account.write_text(content)
    try:
        assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    finally:
        account.unlink()
    message = capsys.readouterr().err.strip()
    assert "synth.json" in message
    assert message.count("\n") == 0
