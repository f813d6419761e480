"""The script that checks a GPU, on the CPU and in small: it must not rot where there is no GPU."""

import csv
import subprocess
import sys
from pathlib import Path

from avjepa.cli import main

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_gpu_check_runs_on_the_cpu(tmp_path: Path) -> None:
    world = tmp_path / "world"
    size = ["--scenes", "3", "--keyframes", "3", "--image_width", "160", "--val_fraction", "0.34"]
    assert main(["synth", "--out", str(world), *size]) == 0
    table = tmp_path / "table.csv"
    command = [sys.executable, str(TOOLS / "gpu_check.py"), "--device", "cpu", "--quick", "--sensors", "radar"]
    command += ["--data", str(world), "--only", "precision", "resume", "cache", "prediction", "--out", str(table)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = {(row["check"], row["subject"]): row for row in csv.DictReader(table.open(newline=""))}
    assert float(rows["resumed run", "pretrain radar"]["value"]) == 0  # the CPU is exact
    assert float(rows["CPU's boxes found", "radar"]["value"]) == 100
    assert float(rows["cache equal to the files", "pretrain radar"]["value"]) == 1
    assert float(rows["samples from the cache", "pretrain radar"]["value"]) > 0
    assert not [row for row in rows.values() if row["passed"] == "False"]
