"""Spoilt inputs through the commands: each is used, or refused in one line (tools/fuzz.py tries a thousand)."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_spoilt_input_is_used_or_refused_in_one_line() -> None:
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), "--cases", "1"]  # one of each kind
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_judge_finds_what_is_wrong(tmp_path: Path) -> None:
    """A case whose command ends in a traceback is a bad answer: the tool can fail."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from fuzzing.judge import Outcome, verdict
        from fuzzing.trial import Trial
        from fuzzing.world import World
    finally:
        sys.path.remove(str(ROOT / "tools"))
    world, trial = World(tmp_path), Trial("", (), names=("scene.json",), harmful=True)

    def answer(code: int | None, stderr: str, stdout: str = "") -> str:
        return verdict(trial, Outcome("inspect", code, stdout, stderr, 0.0), world, before={})

    line = "avjepa: error: v1.0/scene.json: no list\n"
    assert answer(2, line) == "refused"
    assert answer(2, "Traceback (most recent call last)\n" + line) == "traceback"
    assert answer(2, line + line) == "unnamed"
    assert answer(2, "avjepa: error: KeyError\n") == "unnamed"
    assert answer(1, "avjepa: error: KeyError\n") == "traceback"
    assert answer(None, "") == "hang"
    assert answer(-11, "") == "died"
    assert answer(0, "", '{"problems": [], "verdicts": []}') == "silent"
    assert answer(0, "", '{"problems": [{}], "verdicts": []}') == "ok"
    (tmp_path / ".metrics.json.abc.part").touch()
    assert answer(2, line) == "half-written"
