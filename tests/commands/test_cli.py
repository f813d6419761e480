"""The command line: exit codes and one clear line for bad input."""

import errno
import importlib
import sys
from pathlib import Path

import pytest

from avjepa import cli
from avjepa.bundle import TRUSTED
from avjepa.commands.parsing import run_function
from avjepa.errors import UserError, counted


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("pretrain", ["--data DIR root of the dataset; the same as --data.dataroot", "Pre-train a sensor's encoder"]),
        ("finetune", ["as in lidar=runs/lidar/backbone,radar=runs/radar/backbone", "Train heads on a pre-trained"]),
        ("evaluate", ['which of lidar, camera and radar the model is shown, as in "lidar,radar"']),
    ],
)
def test_help_says_how_options_are_given(capsys: pytest.CaptureFixture[str], command: str, lines: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(line in said for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["synht"], ["synht", "synth"]),
        (["synth", "--scenes", "2"], ["out", "required"]),
        (["synth", "--out", "x", "--scenes", "two"], ["scenes", "two"]),
        (["synth", "--out", "x", "--scenes", "2", "--sceness", "3"], ["sceness", "did you mean --scenes?"]),
        (["synth", "--out", "x", "--scenes", "2", "--val-fracton=0.3"], ["did you mean --val_fraction?"]),
        (["synth", "--out", "x", "--scene", "2"], ["did you mean --scenes?"]),
        (["evaluate", "--run", "x", "--check-point", "y"], ["did you mean --checkpoint?"]),
        (["pretrain", "--out", "x", "--data.batchsize", "3"], ["did you mean --data.batch_size?"]),
        (["finetune", "--out", "x", "--step", "3"], ["did you mean --steps?"]),
        (["finetune", "--out", "x", "--trainer.acelerator=cpu"], ["did you mean --trainer.accelerator?"]),
        (["synth", "--out", "x", "--scenes", "0"], ["scenes", "0"]),
        (["robustness", "--run", "x", "--out=\0"], ["'--out': holds a null character"]),
    ],
)
def test_bad_options_give_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, words
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("avjepa: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words)
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_dashes_and_underscores_are_the_same() -> None:
    assert cli.underscored("--on-bad-file=skip-it") == "--on_bad_file=skip-it"
    assert cli.underscored("some-value") == "some-value"


@pytest.mark.parametrize(
    ("arguments", "json"),
    [
        (["--data", "d"], False),
        (["--json", "--data", "d"], True),
        (["--data", "d", "--json"], True),
        (["--json", "false", "--data", "d"], False),
        (["--data=d", "--json=true"], True),
    ],
)
def test_flags_need_no_value_and_may_have_one(arguments: list[str], json: bool) -> None:
    given = []

    def command(data: str, json: bool = False) -> None:
        """Do."""
        given.append((data, json))

    run_function("command", command, arguments)
    assert given == [("d", json)]


def test_traceback_only_with_debug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, arguments: object) -> None:
        raise UserError("tables/scene.json: not JSON; fetch it again")

    monkeypatch.setattr(cli, "run_command", fails)
    code, _, err = run(capsys, "inspect")
    assert (code, err) == (2, "avjepa: error: tables/scene.json: not JSON; fetch it again\n")
    code, _, err = run(capsys, "inspect", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_full_disk_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/last.ckpt")

    monkeypatch.setattr(cli, "run_command", fails)
    code, _, err = run(capsys, "pretrain")
    assert code == 2
    assert "out/last.ckpt" in err
    assert "space" in err
    assert err.count("\n") == 1


def test_defects_of_the_program_are_not_dressed_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str, arguments: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "run_command", fails)
    code, _, err = run(capsys, "inspect")
    assert code == 1
    assert "Traceback" in err


def test_one_is_singular() -> None:
    assert [counted(number, "scene") for number in (0, 1, 2, 1500)] == [
        "0 scenes",
        "1 scene",
        "2 scenes",
        "1,500 scenes",
    ]
    assert counted(3, "labelled box") == "3 labelled boxes"


def test_a_trusted_module_is_found_in_the_current_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``python -m`` finds it; the console script has another folder in its place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    monkeypatch.setenv(TRUSTED, "")
    arguments = ("evaluate", "--trust", "module_of_mine", "--run", "nowhere")
    assert "no such module" in run(capsys, *arguments)[2]
    (tmp_path / "module_of_mine.py").touch()
    importlib.invalidate_caches()
    assert "no such module" not in run(capsys, *arguments)[2]
    assert str(tmp_path) == sys.path[-1], "behind all that is installed"
