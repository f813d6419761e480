"""Several heads at once, by name and weight in YAML, one of them from a module that is no part of the package."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from avjepa.bundle import TRUSTED
from avjepa.report.segmentation import ClassMap
from avjepa.training.metrics import read_rows
from tests.commands.test_label_efficiency import FINETUNE
from tests.commands.test_training import VERSION, avjepa
from tests.data.test_map_mask import drawn_mask

SEGMENTATION = {
    "class_path": "avjepa.evaluate.segmentation.SegmentationTask",
    "init_args": {"head": {"channels": 4}, "loss_weight": 2.0},
}
COUNT = {"class_path": "docs.examples.pedestrian_count.PedestrianCountTask", "init_args": {"loss_weight": 0.01}}
TRUST = ("--trust", "docs.examples.pedestrian_count")


@pytest.fixture
def streets(copy: Path) -> Path:
    """The tiny data set with a map."""
    drawn_mask(copy / "maps" / "mask.png")
    return copy


@pytest.fixture(autouse=True)
def trusting_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED, "")  # --trust sets it for the rest of the process


def finetune(data: Path, out: Path, tasks: dict[str, object], *more: object) -> int:
    config = out.parent / "tasks.yaml"
    config.write_text(yaml.safe_dump({**FINETUNE, "model": {**FINETUNE["model"], "tasks": tasks}}))
    source = ("--config", config, "--data", data, "--version", VERSION, "--out", out, "--steps", 2)
    return avjepa("finetune", *source, "--trainer.log_every_n_steps", 1, *more)


DETECTION = FINETUNE["model"]["tasks"]["detection"]


def test_three_tasks_are_trained_validated_predicted_and_scored_beside_each_other(
    streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tasks = {"detection": DETECTION, "segmentation": SEGMENTATION, "pedestrians": COUNT}
    validated = ("--validate_every", 2, "--data.validation_split", "val", "--score_validation", "true")
    assert finetune(streets, tmp_path / "run", tasks, *validated) == 0
    rows = read_rows(tmp_path / "run" / "metrics.csv")
    logged = {name for row in rows for name in row}
    assert {"train/segmentation/vehicle", "train/segmentation/drivable_area", "train/pedestrians/count"} <= logged
    assert {"train/detection/heatmap", "val/pedestrians/samples", "val/segmentation/IoU/vehicle"} <= logged
    # a head's weight counts within the sum
    terms = [value for name, value in rows[0].items() if name.startswith("train/") and name.count("/") == 2]
    assert rows[0]["train/loss"] == pytest.approx(sum(terms), rel=1e-5)

    folder = tmp_path / "run" / "evaluation" / "val"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    own = {"detection/predictions.json", "segmentation/segmentation.zip", "pedestrians/pedestrians.json"}
    metrics = {f"{task}/metrics.json" for task in tasks}
    assert files.keys() == own | metrics | {"provenance.json"}
    score = json.loads(files["segmentation/metrics.json"])
    assert score["classes"].keys() == {"drivable_area", "vehicle"} and score["samples"] == 4
    assert score["classes"]["drivable_area"]["cells"] > 50 and score["classes"]["vehicle"]["cells"] > 10

    # what a run's folder names is no word of the user's
    capfd.readouterr()
    assert avjepa("evaluate", "--run", tmp_path / "run") == 2
    assert "--trust docs" in capfd.readouterr().err
    assert avjepa("evaluate", "--run", tmp_path / "run", *TRUST) == 0
    again = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert all(again[name] == files[name] for name in own | {"segmentation/metrics.json", "pedestrians/metrics.json"})


def test_a_single_task_of_another_kind_needs_no_detection(streets: Path, tmp_path: Path) -> None:
    assert finetune(streets, tmp_path / "run", {"ground": SEGMENTATION}) == 0
    folder = tmp_path / "run" / "evaluation" / "val"
    assert {path.name for path in folder.iterdir()} == {"segmentation.zip", "metrics.json", "provenance.json"}
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert any(name.startswith("model.heads.ground.") for name in state)


@pytest.mark.parametrize("name", ["keys", "a.b", "../out", "", "training", "0"])
def test_a_name_that_cannot_be_a_folder_or_a_module_is_one_line(
    name: str, streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert finetune(streets, tmp_path / "run", {name: SEGMENTATION}) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "cannot be a task's name" in said and repr(name) in said


def test_without_map_masks_a_training_is_refused_and_a_scoring_leaves_the_class_out(
    streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(streets, bare)
    (bare / "maps" / "mask.png").unlink()
    assert finetune(bare, tmp_path / "refused", {"segmentation": SEGMENTATION}) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "mask.png" in said and "train no class that is taught from maps" in said
    assert not list((tmp_path / "refused").glob("*"))

    assert finetune(streets, tmp_path / "run", {"segmentation": SEGMENTATION}, "--evaluate", "false") == 0
    assert avjepa("evaluate", "--run", tmp_path / "run", "--data", bare) == 0
    score = json.loads((tmp_path / "run" / "evaluation" / "val" / "metrics.json").read_text())
    assert score["classes"].keys() == {"vehicle"}
    assert "drivable_area is not scored" in score["notes"][0] and "mask.png" in score["notes"][0]
    assert "drivable_area is not scored" in capfd.readouterr().out


def test_without_annotations_the_ground_is_scored_alone(
    streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert finetune(streets, tmp_path / "run", {"segmentation": SEGMENTATION}, "--evaluate", "false") == 0
    for table in ("sample_annotation", "instance"):
        (streets / VERSION / f"{table}.json").unlink()
    assert avjepa("evaluate", "--run", tmp_path / "run") == 0
    score = json.loads((tmp_path / "run" / "evaluation" / "val" / "metrics.json").read_text())
    assert score["classes"].keys() == {"drivable_area"} and "no annotations" in score["notes"][0]
    (streets / "maps" / "mask.png").unlink()
    assert avjepa("evaluate", "--run", tmp_path / "run") == 0
    assert "no segmentation to score" in capfd.readouterr().out
    assert not (tmp_path / "run" / "evaluation" / "val" / "metrics.json").exists()


def test_the_segmentation_of_a_keyframe_is_drawn_over_the_truth(
    streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finetune(streets, tmp_path / "run", {"segmentation": SEGMENTATION}) == 0
    file = tmp_path / "run" / "evaluation" / "val" / "segmentation.zip"
    drawn: list[tuple[ClassMap, ...]] = []
    titles: list[str] = []

    def draw_sample(
        sample: object, out: Path, found: object, names: object, maps: tuple[ClassMap, ...], note: str
    ) -> None:
        drawn.append(maps)
        titles.append(note)

    monkeypatch.setattr("avjepa.report.sample_figure.draw_sample", draw_sample)

    def view(*options: object) -> int:
        common = ("--data", streets, "--version", VERSION, "--out", tmp_path / "x.png", "--segmentation", file)
        return avjepa("view", *common, *options)

    assert view("--split", "val", "--index", 1) == 0
    ground, vehicle = drawn[0]
    assert (ground.name, vehicle.name) == ("drivable_area", "vehicle")
    assert ground.present.any() and vehicle.present.any() and ground.known.all()
    capfd.readouterr()
    assert view("--split", "train") == 2
    assert "does not list sample sample-0-0" in capfd.readouterr().err
    (streets / "maps" / "mask.png").unlink()
    assert view("--split", "val") == 0
    assert "drivable_area is not scored" in capfd.readouterr().out
    assert titles == ["segmentation from lidar"] * 2
    assert not drawn[1][0].known.any() and drawn[1][1].known.all()


def test_the_ground_is_taught_on_a_drive_that_nobody_annotated(
    streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (streets / VERSION / "sample_annotation.json").unlink()
    head = {"channels": 4, "classes": {"objects": {}}}
    ground = {**SEGMENTATION, "init_args": {"head": head}}
    assert finetune(streets, tmp_path / "run", {"ground": ground}) == 0
    score = json.loads((tmp_path / "run" / "evaluation" / "val" / "metrics.json").read_text())
    assert score["classes"].keys() == {"drivable_area"} and score["notes"] == []
    # beside a task that is taught from boxes it is refused as ever
    capfd.readouterr()
    assert finetune(streets, tmp_path / "refused", {"ground": ground, "detection": DETECTION}) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "sample_annotation" in said
