"""Configurations come with the package, are listed, shown, and given by name."""

import json
from pathlib import Path

import pytest
import yaml

from avjepa.commands.shipped import CONFIGS
from tests.commands.test_training import QUICK, VERSION, avjepa


def test_all_of_them_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert avjepa("configs", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    files = sorted(CONFIGS.glob("*/*.yaml"))
    assert [line.split()[0] for line in lines] == [f"{file.parent.name}/{file.stem}" for file in files]
    assert len(files) > 40 and all(len(line.split()) > 3 for line in lines)
    assert avjepa("configs", "list", "--kind", "heads") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        f"heads/{file.stem}" for file in files if file.parent.name == "heads"
    ]


def test_one_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert avjepa("configs", "show", "pretrain/lidar_tiny") == 0
    assert capsys.readouterr().out == (CONFIGS / "pretrain" / "lidar_tiny.yaml").read_text()


@pytest.mark.parametrize(
    "given", [("pretrain/radar_tiny",), ("radar_tiny",), ("--config", "radar_tiny"), ("--config=radar_tiny",)]
)
def test_a_training_takes_a_name(
    given: tuple[str, ...], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("--data", tiny, "--version", VERSION, "--out", "run", "--steps", 1, *QUICK)
    assert avjepa("pretrain", *given, *common) == 0
    record = json.loads(Path("run/provenance.json").read_text())
    shipped = yaml.safe_load((CONFIGS / "pretrain" / "radar_tiny.yaml").read_text())
    assert record["configuration"]["model"]["learning_rate"] == shipped["model"]["learning_rate"]
    assert record["configuration"]["data"]["sensors"] == ["radar"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pretrain", "radar_tyny", "--out", "run"), "did you mean radar_tiny?"),
        (("finetune", "--config", "nothing_like_it", "--out", "run"), "'avjepa configs list' names them"),
        (("configs", "show", "lidar_tiny"), "name its kind too"),
        (("configs", "show", "kind/lidar_tiny"), "there is no kind 'kind'"),
        (("configs", "list", "--kind", "x"), "there are"),
        (("configs", "show", "pretrain/lidarr"), "pretrain/lidarr: is no file"),
        (("label-efficiency", "--config", "lidr_tiny", "--data", "x", "--out", "y"), "did you mean lidar_tiny?"),
    ],
)
def test_what_is_not_there_is_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert avjepa(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1, error


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avjepa.commands.shipped import configuration_file

    monkeypatch.chdir(tmp_path)
    Path("lidar_tiny").write_text("")
    assert configuration_file("lidar_tiny", "pretrain") == Path("lidar_tiny")
    assert configuration_file("radar_tiny", "pretrain") == CONFIGS / "pretrain" / "radar_tiny.yaml"
