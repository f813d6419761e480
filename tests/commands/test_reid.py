"""``avjepa reid`` on real recordings: a list of events in a file, and one line for each mistake."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from avjepa import cli
from avjepa.data.datasets import open_dataset
from avjepa.evaluate.reidentification.result_file import entry, write_embeddings


@pytest.fixture
def recordings(realdata: Path) -> list[str]:
    return ["--data", str(realdata / "nuscenes_minival_metadata"), "--version", "v1.0-mini"]


def test_mined_events_are_counted_and_listed(
    recordings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reid", "mine", *recordings, "--k", "5", "--out", str(tmp_path / "events.json")]) == 0
    words = capsys.readouterr().out.split()
    assert words[words.index("all,") : words.index("all,") + 8] == ["all,", "2", "scenes", "19", "16", "18", "5", "58"]
    content = json.loads((tmp_path / "events.json").read_text())
    assert len(content["events"]) == 58
    for event in content["events"]:
        seen_then = {entry["object"]: entry["last_seen"] for entry in event["gallery"]}
        assert seen_then[event["object"]] == event["last_seen"]


def test_baselines_are_scored_by_gap(recordings: list[str], tmp_path: Path) -> None:
    assert (
        cli.main(["reid", "baselines", *recordings, "--split", "mini_val", "--out", str(tmp_path), "--seed", "3"]) == 0
    )
    rows = list(csv.DictReader((tmp_path / "reid.csv").open()))
    found = {(row["method"], row["gap"]): row for row in rows}
    assert len(found) == len(rows) == 7 * 6, "seven methods, four ranges of gaps, those over 2 s and all of them"
    whole = found["constant velocity", "all"]
    assert (whole["sensors"], whole["events"], whole["seed"]) == ("none", "55", "3"), "three events are of no class"
    assert float(whole["rank1"]) > 90, "most of what is hidden there is parked"
    assert 50 < 100 * float(whole["auroc"]) <= 100
    assert float(found["random embedding", "all"]["rank1"]) < 25
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["methods"]["size"]["slices"]["class"]["car"]["events"] == 48
    assert (tmp_path / "reid.png").read_bytes().startswith(b"\x89PNG")


def test_objects_are_tracked_with_embeddings_and_without(recordings: list[str], tmp_path: Path) -> None:
    """Annotated boxes with LiDAR points, moved by .25 m, that look as one direction for each object, more or less."""
    draw = np.random.default_rng(0)
    source = open_dataset(Path(recordings[1]), recordings[3])
    annotated = source.annotated_keyframes(source.scenes_of("mini_val"))
    looks = draw.normal(size=(int(annotated.track.max()) + 1, 32))
    entries = {}
    for at, token in enumerate(annotated.tokens):
        rows = np.flatnonzero((annotated.keyframe == at) & (annotated.lidar_points > 0) & (annotated.class_index >= 0))
        boxes = annotated.boxes[rows]
        boxes[:, :2] += 0.25 * draw.normal(size=(len(rows), 2))
        boxes[:, 7:] = np.nan
        names = [source.taxonomy.classes[index] for index in annotated.class_index[rows]]
        seen = (looks[annotated.track[rows]] + draw.normal(size=(len(rows), 32))).astype(np.float32)
        said = entry(boxes, names, [None] * len(rows), [0.5] * len(rows), seen)
        entries[token] = json.dumps(said).encode()
    write_embeddings(tmp_path / "embeddings.json", 32, entries, annotated.tokens, ["lidar"])
    more = ["--split", "mini_val", "--embeddings", str(tmp_path / "embeddings.json"), "--fast"]
    assert cli.main(["reid", "track", *recordings, *more, "--out", str(tmp_path / "out")]) == 0
    rows_of = {row["method"]: row for row in csv.DictReader((tmp_path / "out" / "tracking.csv").open())}
    by_motion, by_both = (float(rows_of[method]["AssA"]) for method in ("motion", "motion + embedding"))
    assert 50 < by_motion < by_both - 2 < 98


def test_nothing_is_fitted_on_what_is_scored(
    recordings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--split", "mini_val", "--fit_split", "mini_val"]
    assert cli.main(["reid", "baselines", *recordings, *both, "--out", str(tmp_path / "out")]) == 2
    assert "--fit_split mini_val: shares scene-0103 with --split mini_val" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["min"], ["min", "did you mean 'mine'?"]),
        (["mine"], ["data", "required"]),
        (["mine", "--data", "nowhere"], ["nowhere"]),
        (["mine", "--data", "nowhere", "--k", "0"], ["--k", "at least 1"]),
        (["baselines", "--data", "nowhere"], ["out", "required"]),
        (["baselines", "--data", "x", "--out", "y", "--seed", "-1"], ["--seed", "at least 0"]),
        (["baselines", "--data", "x", "--out", "y", "--labels", "120"], ["--labels", "at most 100"]),
        (["baselines", "--data", "x", "--out", "y", "--backbone_name", "a|b"], ["--backbone_name", "choose one"]),
        (["baselines", "--data", "x", "--out", "y", "--csv", "pyproject.toml"], ["pyproject.toml", "its columns"]),
        (["summary", "--csv", "nowhere.csv"], ["nowhere.csv", "no such file"]),
    ],
)
def test_a_mistake_is_said_in_one_line(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reid", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)


def test_help_lists_the_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reid", "--help"]) == 0
    assert "mine" in capsys.readouterr().out
