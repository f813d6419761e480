"""Boxes from sweeps alone, on a small world: no label is read, and the boxes lie where the labels do."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avjepa
from avjepa.data.datasets import open_dataset
from avjepa.data.nuscenes.dataset import NuScenesDataset
from avjepa.evaluate.detection.detected_boxes import DetectedBoxes
from avjepa.synth.dataset.generate import VERSION, synthesise
from tests.commands.test_training import avjepa as command

LEAST_PRECISION, LEAST_RECALL = 0.45, 0.4
"""Of boxes with a score of .3, within 2 m of an annotated one with a LiDAR point, whatever the class."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes of two seconds, two of them to train on."""
    root = tmp_path_factory.mktemp("world") / "data"
    synthesise(root, 3, 7, keyframes=4, image_width=64, val_fraction=0.34, workers=1)
    return root


@pytest.fixture(scope="module")
def found(world: Path) -> Path:
    """The boxes of the training split."""
    file = world.parent / "objects.json"
    assert command("pseudo-objects", "--data", world, "--version", VERSION, "--out", file, "--workers", 1) == 0
    return file


def matches(one: Any, other: Any) -> int:
    """How many of two sets of places can be paired within 2 m, nearest first."""
    if not len(one) or not len(other):
        return 0
    distance = np.linalg.norm(one[:, None] - other[None], axis=2)
    pairs = 0
    while distance.min() < 2:
        row, column = np.unravel_index(distance.argmin(), distance.shape)
        distance[row], distance[:, column] = np.inf, np.inf
        pairs += 1
    return pairs


def test_boxes_lie_where_annotated_ones_do(world: Path, found: Path) -> None:
    source = open_dataset(world, VERSION)
    boxes = DetectedBoxes(found, source)
    ranges = np.array([source.taxonomy.ranges[name] for name in source.taxonomy.classes])
    hits = right = there = 0
    for moment in source.moments(source.scenes_of("train"), keyframes_only=True).tolist():
        queries, labels = boxes(moment), source.labels(moment)
        sure = queries.boxes[queries.scores >= 0.3].numpy()
        far = np.linalg.norm(labels.boxes[:, :2].numpy(), axis=1) > ranges[labels.class_index.numpy()]
        annotated = labels.boxes.numpy()[(labels.lidar_points.numpy() > 0) & ~far]
        hits += matches(sure[:, :2], annotated[:, :2])
        right, there = right + len(sure), there + len(annotated)
    assert there > 50
    assert hits / right > LEAST_PRECISION
    assert hits / there > LEAST_RECALL


def test_the_file_is_a_result_file_of_the_split(world: Path, found: Path) -> None:
    content = json.loads(found.read_text())
    source = open_dataset(world, VERSION)
    assert list(content["results"]) == list(source.keyframe_tokens(source.scenes_of("train")))
    assert content["meta"]["use_lidar"] and not content["meta"]["use_camera"]
    scores = [box["detection_score"] for boxes in content["results"].values() for box in boxes]
    assert all(0 < score <= 1 for score in scores)


def test_no_label_is_read_and_processes_change_no_byte(
    world: Path, found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("a label was read")

    for name in ("labels", "boxes", "annotated_keyframes"):
        monkeypatch.setattr(NuScenesDataset, name, refuse)
    file = avjepa.pseudo_objects(world, tmp_path / "again.json", version=VERSION, workers=2)
    assert file.read_bytes() == found.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split", "rainy"), "--split: "),
        (("--workers", "0"), "--workers 0: at least one process is needed"),
        (("--version", "v9"), "v9"),
        (("--out", "."), "--out .: is a folder; name the file to write"),
        (("--out", f"{__file__}/objects.json"), "nothing can be written into"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: tuple[str, ...], message: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = ("--data", world, "--version", VERSION, "--out", "objects.json", *options)
    assert command("pseudo-objects", *given) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1, error
    assert list(tmp_path.iterdir()) == []


def test_a_bad_file_stops_or_is_left_out(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "world"
    shutil.copytree(world, copy)
    bad = sorted((copy / "sweeps" / "LIDAR_TOP").glob("synth-0000*"))[3]
    bad.write_bytes(b"no points")
    given = ("pseudo-objects", "--data", copy, "--version", VERSION, "--out", tmp_path / "o.json", "--workers", 1)
    assert command(*given) == 2
    assert bad.name in capsys.readouterr().err and not (tmp_path / "o.json").exists()
    assert command(*given, "--on-bad-file", "skip") == 0
    assert "1 bad file left out" in capsys.readouterr().out


def test_a_keyframe_without_a_sweep_is_not_said_to_be_empty(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, file = tmp_path / "world", tmp_path / "objects.json"
    shutil.copytree(world, copy)
    source = open_dataset(copy, VERSION)
    tokens = source.keyframe_tokens(source.scenes_of("train"))
    sorted((copy / "samples" / "LIDAR_TOP").glob("synth-0000*"))[1].write_bytes(b"no points")
    given = ("--data", copy, "--version", VERSION, "--out", file, "--workers", 1, "--on-bad-file", "skip")
    assert command("pseudo-objects", *given) == 0
    assert "1 keyframe without a LiDAR sweep left out; 1 bad file left out" in capsys.readouterr().out
    assert list(json.loads(file.read_text())["results"]) == [token for token in tokens if token != tokens[1]]
