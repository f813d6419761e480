"""The script that checks a GPU, on the CPU and in small: it must not rot where there is no GPU."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

from avjepa.cli import main

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_gpu_check_runs_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = tmp_path / "world"
    size = ["--scenes", "3", "--keyframes", "3", "--image_width", "32", "--val_fraction", "0.34", "--workers", "1"]
    assert main(["synth", "--out", str(world), *size]) == 0
    table = tmp_path / "table.csv"
    arguments = ["--device", "cpu", "--quick", "--sensors", "radar"]
    arguments += ["--data", str(world), "--only", "precision", "resume", "cache", "prediction", "--out", str(table)]
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *arguments])
    monkeypatch.syspath_prepend(TOOLS)
    assert runpy.run_path(str(TOOLS / "gpu_check.py"))["main"]() == 0, capsys.readouterr().out
    rows = {(row["check"], row["subject"]): row for row in csv.DictReader(table.open(newline=""))}
    assert float(rows["resumed run", "pretrain radar"]["value"]) == 0  # the CPU is exact
    assert float(rows["CPU's boxes found", "radar"]["value"]) == 100
    assert float(rows["cache equal to the files", "pretrain radar"]["value"]) == 1
    assert float(rows["samples from the cache", "pretrain radar"]["value"]) > 0
    assert not [row for row in rows.values() if row["passed"] == "False"]
