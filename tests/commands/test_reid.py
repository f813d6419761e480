"""``avjepa reid`` on real recordings: a list of events in a file, and one line for each mistake."""

import json
from pathlib import Path

import pytest

from avjepa import cli


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["min"], ["min", "did you mean 'mine'?"]),
        (["mine"], ["data", "required"]),
        (["mine", "--data", "nowhere"], ["nowhere"]),
        (["mine", "--data", "nowhere", "--k", "0"], ["--k", "at least 1"]),
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
