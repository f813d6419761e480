"""Tracks are scored on annotated scenes: by hand, and by the devkit; ``avjepa reid track`` from end to end."""

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avjepa import cli
from avjepa.data.datasets import open_dataset
from avjepa.evaluate.reidentification.result_file import entry, write_embeddings
from avjepa.evaluate.tracking import fit, scoring
from avjepa.evaluate.tracking.result_file import read_tracks
from avjepa.evaluate.tracking.results import COLUMNS
from avjepa.evaluate.tracking.scoring import TrackingScores, tracking_scores, truth_of

VERSION = "v1.0-synth"
needs_motmetrics = pytest.mark.skipif(
    importlib.util.find_spec(scoring.NEEDED) is None, reason="motmetrics is not installed (see the extra 'tracking')"
)


def car(x: float, **more: Any) -> dict[str, Any]:
    """At rest, 5 m beside the vehicle."""
    usual = {"category": "vehicle.car", "attribute": "vehicle.parked", "size": [2.0, 4.0, 1.5], "points": 9}
    return usual | {"xy": [x, 5.0], "velocity": [0.0, 0.0]} | more


@pytest.fixture
def root(tiny_dataset: Callable[..., Path]) -> Path:
    """Two cars, one that moves, and a pedestrian; a far and an unseen car and a barrier do not count."""
    walker = car(-8.0, category="human.pedestrian.adult", attribute="pedestrian.moving", velocity=[1.0, 0.0])
    ignored = [car(80.0), car(20.0, points=0), car(-20.0, category="movable_object.barrier", attribute="")]
    return tiny_dataset([car(0.0), car(6.0, velocity=[4.0, 0.0]), walker, *ignored], {"val": ["scene-a", "scene-b"]})


def embeddings(root: Path, path: Path, split: str = "val", ghosts: float = 0.0) -> Path:
    """Of exactly the annotated boxes with points, one direction for each object.

    Args:
        root: the data set.
        path: of the file.
        split: of it.
        ghosts: score of a car at every keyframe that is not there; none for 0.
    """
    source = open_dataset(root, VERSION)
    annotated = source.annotated_keyframes(source.scenes_of(split))
    looks = np.random.default_rng(0).normal(size=(int(annotated.track.max()) + 1, 16)).astype(np.float32)
    entries = {}
    for at, token in enumerate(annotated.tokens):
        rows = np.flatnonzero((annotated.keyframe == at) & (annotated.lidar_points > 0))
        names = [source.taxonomy.classes[index] for index in annotated.class_index[rows]]
        boxes, seen, scores = annotated.boxes[rows], looks[annotated.track[rows]], [0.9] * len(rows)
        if ghosts:
            ghost = boxes[:1] - np.eye(9)[:1] * 15
            boxes, seen = np.concatenate((boxes, ghost)), np.concatenate((seen, seen[:1]))
            names, scores = [*names, "car"], [*scores, ghosts]
        content = entry(boxes, names, [None] * len(boxes), scores, seen)
        entries[token] = json.dumps(content).encode()
    write_embeddings(path, 16, entries, annotated.tokens, ["lidar"], 0.1)
    return path


@pytest.fixture
def perfect(root: Path, tmp_path: Path) -> Path:
    """Embeddings of exactly the annotated boxes with points."""
    return embeddings(root, tmp_path / "embeddings.json")


def track(root: Path, embeddings: Path, out: Path, *more: object) -> int:
    where = ("--data", root, "--version", VERSION, "--embeddings", embeddings, "--out", out)
    return cli.main(["reid", "track", *map(str, (*where, *more))])


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    return {row["method"]: row for row in csv.DictReader((out / "tracking.csv").open())}


def scored(file: Path, root: Path, fast: bool = False) -> TrackingScores:
    source = open_dataset(root, VERSION)
    return tracking_scores({"it": file}, source, "val", truth_of(source, "val"), fast)


@needs_motmetrics
def test_perfect_boxes_are_tracked_perfectly(
    root: Path, perfect: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track(root, perfect, tmp_path / "out", "--seed", 7) == 0
    rows = rows_of(tmp_path / "out")
    assert list(rows) == ["motion", "motion + embedding"] and tuple(rows["motion"]) == COLUMNS
    for row in rows.values():
        found = {name: float(row[name]) for name in COLUMNS[2:-1]}
        perfect_score = {"HOTA": 100.0, "AssA": 100.0, "DetA": 100.0, "AMOTA": 1.0, "AMOTP": 0.0, "MOTA": 1.0}
        nothing = dict.fromkeys(("IDS", "FRAG", "LGD", "TID"), 0.0)
        assert found == pytest.approx(perfect_score | nothing, abs=1e-3)
        assert (row["sensors"], row["seed"]) == ("L", "7")
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert set(content["methods"]["motion"]) == {"all", "car", "pedestrian"}
    assert "nuscenes-devkit tracking_nips_2019" in capsys.readouterr().out


@needs_motmetrics
def test_an_exchange_of_two_cars_is_counted_by_both(root: Path, perfect: Path, tmp_path: Path) -> None:
    """Two cars have each other's number at the last of three keyframes, in both scenes."""
    assert track(root, perfect, tmp_path / "out", "--embedding", "true", "--fast") == 0
    file = tmp_path / "out" / "motion_embedding" / "tracking.json"
    assert not (tmp_path / "out" / "motion").exists()
    content = json.loads(file.read_text())
    for token in ("scene-a-2", "scene-b-2"):
        # the far car is a car too, and comes last
        first, second = [box for box in content["results"][token] if box["tracking_name"] == "car"][:2]
        first["tracking_id"], second["tracking_id"] = second["tracking_id"], first["tracking_id"]
    file.write_text(json.dumps(content))
    figures = scored(file, root).figures["it"]
    # a car: two keyframes by a track of which 2 of 3 + 3 - 2 are shared, one by a track with 1 of 3 + 3 - 1
    assert figures["car"]["AssA"] == pytest.approx(100 * (2 * 2 / 4 + 1 / 5) / 3)
    # of nine boxes of a scene, six are the cars'
    assert figures["all"]["AssA"] == pytest.approx((6 * figures["car"]["AssA"] + 3 * 100) / 9)
    assert figures["all"]["DetA"] == pytest.approx(100)
    assert figures["car"]["IDS"] == figures["all"]["IDS"] == 4 and figures["pedestrian"]["IDS"] == 0
    assert figures["car"]["MOTA"] == pytest.approx(1 - 4 / 12)


def test_without_motmetrics_one_line_names_the_extra(
    root: Path, perfect: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "NEEDED", "no_such_package")
    assert track(root, perfect, tmp_path / "out", "--embedding", "false") == 0
    assert "pip install 'avjepa[tracking]'" in capsys.readouterr().out
    (row,) = rows_of(tmp_path / "out").values()
    assert float(row["HOTA"]) == pytest.approx(100) and row["AMOTA"] == ""
    known = json.loads((tmp_path / "out" / "scores.json").read_text())["methods"]["motion"]["all"]
    assert known["AMOTA"] is None


def test_the_tracks_of_another_tracker_are_scored_too(
    root: Path, perfect: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs.json"
    tokens = json.loads(perfect.read_text())["results"]
    theirs.write_text(json.dumps({"meta": {"use_camera": True}, "results": {token: [] for token in tokens}}))
    assert track(root, perfect, tmp_path / "out", "--fast", "--tracks", theirs) == 0
    rows = rows_of(tmp_path / "out")
    found = {method: (row["sensors"], float(row["HOTA"])) for method, row in rows.items()}
    assert found == {"motion": ("L", 100.0), "motion + embedding": ("L", 100.0), "another tracker": ("C", 0.0)}
    theirs.write_text(json.dumps({"meta": {}, "results": {"elsewhere": []}}))
    assert track(root, perfect, tmp_path / "none", "--fast", "--tracks", theirs) == 2
    assert "theirs.json: its samples are not those of the split" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@needs_motmetrics
def test_no_tracks_score_nothing(root: Path, perfect: Path, tmp_path: Path) -> None:
    file = tmp_path / "nothing.json"
    tokens = json.loads(perfect.read_text())["results"]
    file.write_text(json.dumps({"meta": {}, "results": {token: [] for token in tokens}}))
    found = scored(file, root).figures["it"]["all"]
    assert (found["HOTA"], found["AMOTA"], found["MOTA"]) == (0, 0, 0)


def test_two_runs_write_the_same_bytes(root: Path, perfect: Path, tmp_path: Path) -> None:
    names = ("tracking.csv", "scores.json", "motion/tracking.json", "motion_embedding/tracking.json")
    for out in ("first", "second"):
        assert track(root, perfect, tmp_path / out, "--fast") == 0
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    source = open_dataset(root, VERSION)
    tracks = read_tracks(tmp_path / "first" / "motion" / "tracking.json", source.taxonomy).tracks
    assert len(set(tracks.track.tolist())) == 8, "four objects a scene: the far car is followed too"


def test_scores_are_fitted_on_other_scenes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A car that is not there is found at every keyframe with a score of .55: objects should not be born of it."""
    monkeypatch.setattr(fit, "_MOTION", {"memory": (3.0,)})
    monkeypatch.setattr(fit, "_OPTIONS", {name: fit._OPTIONS[name] for name in ("birth_score", "lowest_score")})
    monkeypatch.setattr(fit, "_TEMPERATURES", (0.5,))
    (root / VERSION / "splits.json").write_text(json.dumps({"val": ["scene-a"], "other": ["scene-b"]}))
    file = embeddings(root, tmp_path / "val.json", ghosts=0.55)
    others = embeddings(root, tmp_path / "other.json", "other", ghosts=0.55)
    assert track(root, file, tmp_path / "as it is", "--fast") == 0
    on_others = ("--fit_split", "other", "--fit_embeddings", others)
    assert track(root, file, tmp_path / "fitted", "--fast", *on_others) == 0
    before, after = (rows_of(tmp_path / name)["motion + embedding"] for name in ("as it is", "fitted"))
    assert float(before["DetA"]) == pytest.approx(75), "three of four tracks of a keyframe are objects"
    assert float(after["DetA"]) == float(after["AssA"]) == pytest.approx(100)
    options = json.loads((tmp_path / "fitted" / "scores.json").read_text())["options"]
    assert options["birth_score"] == 0.6 and options["lowest_score"] == 0.1, "what is as good is left as it was"
    capsys.readouterr()
    for wrong, words in (
        (on_others[:2], "--fit_split and --fit_embeddings: belong together"),
        (("--fit_split", "val", "--fit_embeddings", file), "--fit_split val: shares scene-a with --split val"),
    ):
        assert track(root, file, tmp_path / "out", *wrong) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--life", "0"], "--life: must be above 0"),
        (["--temperature", "0"], "--temperature: must be at least 0.0001"),
        (["--birth_score", "0.05"], "--birth_score: must be at least 0.1"),
        (["--split", "test"], "--split: split 'test'"),
        (["--embeddings", "nowhere.json"], "nowhere.json: no such file"),
        (["--embedding", "maybe"], "embedding"),
        (["--split", "other"], "its samples are not those of the split"),
        (["--split", "empty"], "--split empty: nothing to score"),
    ],
)
def test_a_mistake_is_said_in_one_line_and_nothing_is_written(
    arguments: list[str], words: str, root: Path, perfect: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = {"val": ["scene-a", "scene-b"], "other": ["scene-a"]}
    if "empty" in arguments:
        splits["empty"] = splits["val"]
        path = root / VERSION / "sample_annotation.json"
        rows = json.loads(path.read_text())
        path.write_text(json.dumps([row | {"num_lidar_pts": 0} for row in rows]))
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    assert track(root, perfect, tmp_path / "out", *arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not (tmp_path / "out").exists()
