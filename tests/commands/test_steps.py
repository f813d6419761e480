"""Steps run once, in order, are measured, and fail with the line that the step printed."""

import json
from pathlib import Path

import pytest

from avjepa.commands.steps import Step, StepRunner
from avjepa.errors import UserError


def test_steps_run_once_and_are_recorded(tmp_path: Path) -> None:
    steps = [Step("second", ("--version",), needs=("first",)), Step("first", ("--help",))]
    records = StepRunner(tmp_path, slots=2).run(steps)
    assert [record.name for record in records] == ["second", "first"]
    assert all(record.peak_mebibytes > 5 for record in records)
    stamps = [(tmp_path / "steps" / f"{name}.json").stat().st_mtime_ns for name in ("first", "second")]
    assert stamps[0] < stamps[1], "the needed step is done first"
    assert StepRunner(tmp_path, slots=1).run(steps) == records
    assert [(tmp_path / "steps" / f"{name}.json").stat().st_mtime_ns for name in ("first", "second")] == stamps


def test_other_arguments_run_again(tmp_path: Path) -> None:
    runner = StepRunner(tmp_path, slots=1)
    runner.run([Step("only", ("--help",))])
    runner.run([Step("only", ("--version",))])
    assert json.loads((tmp_path / "steps" / "only.json").read_text())["arguments"] == ["--version"]
    assert "avjepa" in (tmp_path / "logs" / "only.log").read_text()


def test_failure_names_step_reason_and_log(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 'broken' failed: .*nonsense.*broken\.log"):
        StepRunner(tmp_path, slots=1).run([Step("broken", ("nonsense",))])
    assert not (tmp_path / "steps" / "broken.json").exists()
