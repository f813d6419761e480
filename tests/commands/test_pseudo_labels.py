"""A teacher's boxes are taught on scenes whose labels are not used, and no label of theirs is looked at."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avjepa.commands.pseudo_labels import pseudo_labels
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.nuscenes.dataset import NuScenesDataset
from tests.commands.small import small
from tests.commands.test_training import VERSION, avjepa

SCENES = ("scene-0000", "scene-0001")


@pytest.fixture(scope="module")
def world(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set with both scenes to train on."""
    folder = tmp_path_factory.mktemp("world") / "data"
    shutil.copytree(tiny, folder)
    (folder / VERSION / "splits.json").write_text(json.dumps({"train": SCENES, "val": SCENES[1:]}))
    return folder


@pytest.fixture(scope="module")
def predictions(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a teacher, on the training split."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    assert small("finetune", world, run, "--steps", 1, "--data.scenes", "[scene-0000]") == 0
    assert avjepa("evaluate", "--run", run, "--split", "train", "--fast") == 0
    return run / "evaluation" / "train" / "predictions.json"


def module(world: Path, **options: Any) -> DetectionDataModule:
    data = DetectionDataModule(
        dataroot=str(world), version=VERSION, scenes=["scene-0000"], lidar_sweeps=1, workers=0, steps=4, batch_size=1,
        **options,
    )  # fmt: skip
    data.setup("fit")
    return data


def test_boxes_take_the_place_of_labels_that_are_not_used(
    world: Path, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(predictions.read_text())["results"]
    data = module(world)
    assert data.source is not None
    data.pseudo_labels = pseudo_labels(predictions, {"car": 0.0, "truck": 1.0}, data)
    data.setup("fit")
    assert data.train_scenes() == list(SCENES)
    asked = []
    truth = NuScenesDataset.labels

    def labels(self: NuScenesDataset, moment: int) -> Any:
        asked.append(self.scene_of(moment))
        return truth(self, moment)

    monkeypatch.setattr(NuScenesDataset, "labels", labels)
    seen: dict[str, int] = {}
    for batch in data.train_dataloader():
        assert batch.labels is not None
        for token, scene, found in zip(batch.tokens, batch.scenes, batch.labels, strict=True):
            if scene == "scene-0001":
                least = {"car": 0.0, "truck": 1.0}
                wanted = [b for b in content[token] if b["detection_score"] >= least.get(b["detection_name"], 0.3)]
                assert len(found) == len(wanted)
                assert (
                    (found.track_ids < 0).all() and (found.lidar_points == -1).all() and bool(found.with_points().all())
                )
                sizes = sorted(round(float(size), 3) for size in found.boxes[:, 4])
                assert sizes == pytest.approx(sorted(round(box["size"][0], 3) for box in wanted), abs=2e-3)
            seen[scene] = seen.get(scene, 0) + 1
    assert set(seen) == set(SCENES) and set(asked) == {"scene-0000"}
    assert data.fingerprints()["pseudo_labels"] == data.pseudo_labels.digest


def test_a_student_learns_from_them(world: Path, predictions: Path, tmp_path: Path) -> None:
    given = ("--data.scenes", "[scene-0000]", "--pseudo_labels", predictions)
    assert small("finetune", world, tmp_path / "s", "--steps", 2, *given, "--pseudo_score", "0.0") == 0
    record = json.loads((tmp_path / "s" / "provenance.json").read_text())
    assert len(record["data"]["pseudo_labels"]) == 64
    predictions_gone = tmp_path / "gone.json"
    shutil.copy(predictions, predictions_gone)
    again = ("--data.scenes", "[scene-0000]", "--pseudo_labels", predictions_gone, "--pseudo_score", "{car: 0.0}")
    assert small("finetune", world, tmp_path / "t", "--steps", 1, *again) == 0
    predictions_gone.unlink()
    assert avjepa("evaluate", "--run", tmp_path / "t", "--fast") == 0, "scoring needs no teacher"
    assert avjepa("evaluate", "--run", tmp_path / "t") == 0, "and may be done again: it is of the same data"


def test_no_label_at_all_is_read_where_no_scene_is_chosen(
    world: Path, predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("a label was read")

    for name in ("labels", "boxes", "annotated_keyframes"):
        monkeypatch.setattr(NuScenesDataset, name, refuse)
    given = ("--data.scenes", 0, "--pseudo_labels", predictions, "--pseudo_score", "0.0")
    assert small("finetune", world, tmp_path / "s", "--steps", 3, *given) == 0
    assert "labels of no scene; on 2 scenes the boxes of" in capsys.readouterr().err
    assert small("finetune", world, tmp_path / "s", "--steps", 4, *given, "--ckpt_path", "last") == 0
    record = json.loads((tmp_path / "s" / "provenance.json").read_text())
    assert record["configuration"]["data"]["scenes"] == 0 and record["steps"] == 4
    monkeypatch.undo()
    assert avjepa("evaluate", "--run", tmp_path / "s", "--fast") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "data.scenes: 0 leaves no scene to learn from"),
        (("--pseudo_labels", "empty.json"), "lists no scene of train wholly; predict that split"),
    ],
)
def test_without_labels_some_boxes_are_needed(
    options: tuple[str, ...], message: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text(json.dumps({"meta": {}, "results": {}}))
    assert small("finetune", world, tmp_path / "s", "--steps", 1, "--data.scenes", 0, *options) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda box: box | {"detection_score": 7.0}, "has scores that are not between 0 and 1"),
        (lambda box: box | {"detection_score": 0.125}, "no box reaches --pseudo_score, the best of them is 0.12"),
        (lambda box: None, "there is no box at all"),
        (lambda box: box | {"size": [1.0, 2e3, 1.0]}, "size is absurd, 1000 m or more"),
    ],
)
def test_boxes_that_would_teach_that_nothing_is_there_are_refused(
    change: Callable[[dict[str, Any]], dict[str, Any] | None], message: str, world: Path, predictions: Path,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    content = json.loads(predictions.read_text())
    changed = {t: [new for box in boxes if (new := change(box))] for t, boxes in content["results"].items()}
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(content | {"results": changed}))
    given = ("--data.scenes", "[scene-0000]", "--pseudo_labels", file)
    assert small("finetune", world, tmp_path / "s", "--steps", 1, *given) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_more_boxes_than_a_keyframe_may_have_are_refused(
    world: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(predictions.read_text())
    many = {token: (600 * boxes)[:501] for token, boxes in content["results"].items()}
    file = tmp_path / "many.json"
    file.write_text(json.dumps(content | {"results": many}))
    given = ("--data.scenes", "[scene-0000]", "--pseudo_labels", file)
    assert small("finetune", world, tmp_path / "s", "--steps", 1, *given) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        f"--pseudo_labels {file}: keyframe " in error and "has 501 boxes, and a result file holds at most 500" in error
    )
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pseudo_score", "2"), "--pseudo_score: must be"),
        (("--pseudo_labels", "."), "--pseudo_labels .: is a folder; name the file in it"),
        (("--pseudo_score", "{cat: 0.1}"), "--pseudo_score cat: is none of the classes"),
        (("--data.class_balanced", "true"), "data.class_balanced: counts annotated boxes"),
        (("--data.scenes", "-1"), "scenes: -1 were asked for, the split has 2; choose 0-2"),
        (("--data.scenes", "null"), "lists no scene of train beside the 2 scenes"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: tuple[str, ...], message: str, world: Path, predictions: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = ("--data.scenes", "[scene-0000]", "--pseudo_labels", predictions, *options)
    assert small("finetune", world, tmp_path / "s", "--steps", 1, *given) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) <= 2, error
    assert not (tmp_path / "s").exists()


def test_a_score_without_boxes_is_refused(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert small("finetune", world, tmp_path / "s", "--steps", 1, "--pseudo_score", "0.5") == 2
    assert "--pseudo_score: is of no use without --pseudo_labels FILE" in capsys.readouterr().err
