"""``avjepa evaluate`` on data in which something is missing: every sample is accounted for, and it is said how."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import avjepa as avjepa_package
from avjepa.bundle import TRUSTED
from avjepa.evaluate.detection.task import DetectionScorer, DetectionWriter
from avjepa.locking import locked
from tests.commands.small import small
from tests.commands.test_bad_input import refused
from tests.commands.test_training import VERSION, avjepa, finetune
from tests.data.conftest import build


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector after one step."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert small("finetune", tiny, run, "--steps", 1) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def evaluate(run: Path, data: Path, *more: object) -> int:
    return avjepa("evaluate", "--run", run, "--data", data, "--accelerator", "cpu", *more)


def metrics(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation" / "val" / "metrics.json").read_text())
    return content


def predictions(run: Path) -> dict[str, list[Any]]:
    content: dict[str, list[Any]] = json.loads((run / "evaluation" / "val" / "predictions.json").read_text())["results"]
    return content


def drop(data: Path, table: str, dropped: Callable[[dict[str, Any]], bool]) -> None:
    path = data / VERSION / f"{table}.json"
    path.write_text(json.dumps([row for row in json.loads(path.read_text()) if not dropped(row)]))


def test_fast_gives_the_devkits_numbers(run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluate(run, tiny) == 0
    assert "it/s" not in capfd.readouterr().err, "the devkit's progress bars"
    by_devkit = metrics(run)
    assert evaluate(run, tiny, "--fast") == 0
    ours = metrics(run)
    assert by_devkit["evaluator"] == "nuscenes-devkit detection_cvpr_2019"
    assert ours["evaluator"] == "avjepa's own evaluator (as was asked)"
    for name in ("mean_ap", "nd_score", "class_ap", "mean_errors"):
        assert ours[name] == pytest.approx(by_devkit[name], abs=1e-9)


def test_a_keyframe_without_its_lidar_record_is_predicted_from_the_nearest_sweep(run: Path, copy: Path) -> None:
    drop(copy, "sample_data", lambda row: row["token"] == "data-1-LIDAR_TOP-10")
    assert evaluate(run, copy) == 0
    assert len(predictions(run)["sample-1-2"]) > 0
    about = metrics(run)
    assert (about["samples"], about["samples_without_input"]) == (4, 0)
    assert "LIDAR_TOP for every keyframe; it is missing from 1" in about["evaluator"]


@pytest.mark.parametrize("sensors", ["LIDAR_TOP", ""], ids=["the LiDAR", "all sensors"])
def test_a_keyframe_that_was_never_recorded_has_an_empty_prediction(
    sensors: str, run: Path, copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    near = [f"data-1-LIDAR_TOP-{sweep}" for sweep in range(8, 13)]

    def unrecorded(row: dict[str, Any]) -> bool:
        at_keyframe = row["is_key_frame"] and row["sample_token"] == "sample-1-2"
        return row["token"] in near or (at_keyframe and sensors in row["filename"])

    drop(copy, "sample_data", unrecorded)
    assert evaluate(run, copy) == 0
    found = predictions(run)
    assert sorted(found) == [f"sample-1-{k}" for k in range(4)]
    assert found["sample-1-2"] == []
    assert all(found[token] for token in found if token != "sample-1-2")
    about = metrics(run)
    assert (about["samples"], about["samples_without_input"]) == (4, 1)
    assert "the score stands on 3 of 4 samples" in capfd.readouterr().out


def test_every_lidar_file_is_missing_and_skipped(
    run: Path, copy: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for path in copy.glob("s*/LIDAR_TOP/*"):
        path.unlink()
    assert evaluate(run, copy, "--on_bad_file", "skip") == 0
    captured = capfd.readouterr()
    assert "the score stands on 0 of 4 samples; no sensor data in the others" in captured.out
    assert metrics(run)["samples_without_input"] == 4
    assert predictions(run) == {f"sample-1-{k}": [] for k in range(4)}
    assert "4 bad files were skipped" in caplog.text
    assert "data-1-LIDAR_TOP-15.pcd.bin: the file is missing" in caplog.text


@pytest.mark.parametrize("missing", ["table", "rows"])
def test_a_split_without_annotations_is_predicted(
    missing: str, run: Path, copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if missing == "table":
        (copy / VERSION / "sample_annotation.json").unlink()
    else:
        drop(copy, "sample_annotation", lambda row: True)
    assert evaluate(run, copy) == 0
    said = capfd.readouterr().out
    assert "split val: nothing to score: " in said
    assert "mAP" not in said
    assert len(predictions(run)) == 4
    assert not (run / "evaluation" / "val" / "metrics.json").exists()


def test_tables_that_only_the_devkit_wants_are_left_out(run: Path, copy: Path) -> None:
    for table in ("visibility", "attribute", "map"):
        (copy / VERSION / f"{table}.json").unlink()
    path = copy / VERSION / "sample_annotation.json"
    path.write_text(json.dumps([{**row, "attribute_tokens": []} for row in json.loads(path.read_text())]))
    assert evaluate(run, copy) == 0
    assert "avjepa's own evaluator (the devkit needs attribute.json" in metrics(run)["evaluator"]


def test_other_data_version_and_checkpoint_are_those_that_are_named(run: Path, tmp_path: Path) -> None:
    """Tables under another name, the two scenes swapped, and a checkpoint whose head knows nothing."""
    other = build(tmp_path / "other")
    (other / VERSION).rename(other / "v2")
    (other / "v2" / "splits.json").write_text(json.dumps({"train": ["scene-0001"], "val": ["scene-0000"]}))
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for name, tensor in content["state_dict"].items():
        if ".heads." in name:
            tensor.zero_()
    torch.save(content, tmp_path / "other.ckpt")
    assert evaluate(run, other, "--version", "v2", "--checkpoint", tmp_path / "other.ckpt") == 0
    found = predictions(run)
    assert sorted(found) == [f"sample-0-{k}" for k in range(4)], "the validation scene of the other data"
    scores = [box["detection_score"] for boxes in found.values() for box in boxes]
    assert scores == pytest.approx([0.5] * len(scores)), "the logit of a head of zeros is 0"
    assert evaluate(run, other) == 2, "the run's own version is not among the other data"


def test_radar_alone_is_trained_and_scored(tmp_path: Path) -> None:
    data = build(tmp_path / "data", channels=("RADAR_FRONT", "RADAR_BACK_LEFT"))
    assert finetune(data, tmp_path / "run", "radar", "--steps", 1, "--trainer.accelerator", "cpu") == 0
    about = metrics(tmp_path / "run")
    assert (about["samples"], about["samples_without_input"], about["sensors"]) == (4, 0, ["radar"])
    assert "LIDAR_TOP for every keyframe; it is missing from 4" in about["evaluator"]


@pytest.mark.parametrize("place", ["class", "file", "augmentation"])
def test_a_run_that_is_handed_over_brings_no_code_along(
    place: str, run: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = f"from_a_stranger_{place}"
    (run.parent / f"{stranger}.py").write_text("from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()")
    monkeypatch.syspath_prepend(run.parent)
    theirs = f"{stranger}.Theirs"
    (run / "said").write_text(f"class_path: {theirs}")
    config = yaml.safe_load((run / "config.yaml").read_text())
    section, key = ("data", "augmentation") if place == "augmentation" else ("model", "backbone")
    config[section][key] = str(run / "said") if place == "file" else {"class_path": theirs, "init_args": {}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    refused(capfd, evaluate(run, tiny), "config.yaml", theirs, f"--trust {stranger}")
    assert not (run.parent / f"{stranger}.ran").exists()
    monkeypatch.setenv(TRUSTED, stranger)
    assert evaluate(run, tiny) == 2
    assert (run.parent / f"{stranger}.ran").exists(), "the trap is real"


def test_results_of_other_weights_or_data_are_replaced_only_when_asked(
    run: Path, tiny: Path, copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(run, tiny, "--fast") == 0
    before = (run / "evaluation" / "val" / "predictions.json").read_bytes()
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for name, tensor in content["state_dict"].items():
        if ".heads." in name:
            tensor.zero_()
    torch.save(content, tmp_path / "other.ckpt")
    other = ("--checkpoint", tmp_path / "other.ckpt", "--fast")
    capfd.readouterr()
    refused(capfd, evaluate(run, tiny, *other), "evaluation/val", "other weights", "--out", "--overwrite")
    table = copy / VERSION / "sample_annotation.json"
    table.write_text(json.dumps([{**row, "size": [2.0, 4.0, 1.5]} for row in json.loads(table.read_text())]))
    refused(capfd, evaluate(run, copy, "--fast"), "evaluation/val", "other data", "--out", "--overwrite")
    (run / "evaluation" / "val" / "provenance.json").rename(run / "put_aside")
    refused(capfd, evaluate(run, tiny, "--fast"), "other weights and data")
    (run / "put_aside").rename(run / "evaluation" / "val" / "provenance.json")

    assert evaluate(run, tiny, *other, "--out", tmp_path / "elsewhere") == 0
    assert (run / "evaluation" / "val" / "predictions.json").read_bytes() == before
    elsewhere = (tmp_path / "elsewhere" / "evaluation" / "val" / "predictions.json").read_bytes()
    assert elsewhere != before
    assert evaluate(run, tiny, *other, "--overwrite") == 0
    assert (run / "evaluation" / "val" / "predictions.json").read_bytes() == elsewhere


def test_data_that_cannot_be_scored_replace_no_results(
    run: Path, tiny: Path, copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(run, tiny, "--fast") == 0
    before = {path: path.read_bytes() for path in (run / "evaluation" / "val").iterdir()}
    (copy / VERSION / "instance.json").write_text("[{")
    capfd.readouterr()
    refused(capfd, evaluate(run, copy, "--fast", "--overwrite"), "instance.json")
    assert {path: path.read_bytes() for path in (run / "evaluation" / "val").iterdir()} == before


@pytest.mark.parametrize("at", ["write", "score"])
def test_what_is_interrupted_leaves_no_results_of_two_evaluations(
    at: str, run: Path, tiny: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    folder = run / "evaluation" / "val"
    assert evaluate(run, tiny, "--fast") == 0
    before = (folder / "provenance.json").read_text()
    table = copy / VERSION / "sample_annotation.json"
    table.write_text(json.dumps([{**row, "size": [2.0, 4.0, 1.5]} for row in json.loads(table.read_text())]))
    with monkeypatch.context() as patched:
        patched.setattr(DetectionWriter if at == "write" else DetectionScorer, at, interrupt)
        assert evaluate(run, copy, "--fast", "--overwrite") == 130
    left = {"provenance.json"} if at == "write" else {"provenance.json", "predictions.json"}
    assert {path.name for path in folder.iterdir()} == left
    assert (folder / "provenance.json").read_text() != before
    assert evaluate(run, copy, "--fast") == 0, "goes on without being asked to overwrite"
    assert metrics(run)["predictions"] == "predictions.json"


def test_a_training_says_that_it_replaces_the_results_of_another(
    run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = ("--steps", 1, "--evaluate", "true", "--seed", 1)
    assert small("finetune", tiny, run, *again) == 0
    assert "evaluation" not in capfd.readouterr().err.split("step done")[0]
    assert small("finetune", tiny, run, *again) == 0
    said = capfd.readouterr().err
    assert f"{run}/evaluation/val: holds results of an earlier training, which this one will replace" in said


def test_a_folder_that_is_being_written_is_left_alone(
    run: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(run):
        refused(capfd, evaluate(run, tiny, "--fast"), str(run), "is being written")
        assert evaluate(run, tiny, "--fast", "--out", tmp_path / "elsewhere") == 0
    assert not (run / "evaluation").exists()


def test_other_classes_and_splits_are_told_by_their_names(
    run: Path, tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(capfd, evaluate(run, tiny, "--split", "nope"), "--split", "'nope'", "train, val")
    nuscenes = yaml.safe_load((Path(avjepa_package.__file__).parent / "data/taxonomies/nuscenes.yaml").read_text())
    text = yaml.safe_dump(nuscenes, sort_keys=False).replace("bicycle", "velocipede")
    (tmp_path / "mine.yaml").write_text(text)
    code = evaluate(run, tiny, "--taxonomy", tmp_path / "mine.yaml")
    refused(capfd, code, "--taxonomy", "missing: bicycle", "new: velocipede")
