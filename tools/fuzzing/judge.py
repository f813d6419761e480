"""Running a case in a process of its own, and the verdict."""

import contextlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from fuzzing.trial import Trial
from fuzzing.world import World

VERDICTS = ("ok", "refused", "unnamed", "traceback", "hang", "died", "silent", "executed", "half-written")
"""From good to bad: worked; refused in one line; in a line that names neither file nor option, or in several; an error
of the program; no end; ended by a signal; harmful input passed without a word; code from the input ran; a result or a
partial file was left behind by a command that failed."""
GOOD = frozenset(VERDICTS[:2])
RESULTS = ("sample.png", "config.json", "metrics.json", "robustness.csv", "reid.csv", "events.json")
"""Files that say that a command has done its work."""
MEMORY = 10 * 2**30
"""Bytes of address space that a case may take."""


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code (``None``: it had to be stopped; negative: a signal) and what it said."""

    command: str
    code: int | None
    stdout: str
    stderr: str
    seconds: float


def run(arguments: tuple[str, ...], world: World, limit: float) -> Outcome:
    """Run a command in a fork of this process, which has imported everything, for at most ``limit`` seconds."""
    stdout, stderr = world.root / "stdout", world.root / "stderr"
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(_command(arguments, world.root, stdout, stderr))
    code: int | None = None
    while time.monotonic() - started < limit:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):  # loader processes, or all of it
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    said, complained = (path.read_text(encoding="utf-8", errors="replace") for path in (stdout, stderr))
    return Outcome(arguments[0], code, said, complained, time.monotonic() - started)


def _command(arguments: tuple[str, ...], folder: Path, stdout: Path, stderr: Path) -> int:
    from avjepa.cli import main

    os.setsid()
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as for ``python -m``: what lies in the working folder can be imported
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for path, number in ((stdout, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def results_of(world: World) -> dict[str, int]:
    """The results that lie in the world, with the time of their last change."""
    return {str(path): path.stat().st_mtime_ns for name in RESULTS for path in world.root.rglob(name) if path.is_file()}


def verdict(trial: Trial, outcome: Outcome, world: World, before: dict[str, int]) -> str:
    """How good the answer of a command was.

    Args:
        trial: what was asked.
        outcome: what the command did.
        world: as the command left it.
        before: ``results_of`` the world before.
    """
    if any(Path(path).exists() for path in trial.forbidden):
        return "executed"
    if outcome.code is None:
        return "hang"
    if outcome.code < 0:
        return "died"
    if outcome.code not in (0, 2) or "Traceback" in outcome.stderr:
        return "traceback"
    if any(world.root.rglob(".*.part")):
        return "half-written"
    if outcome.code == 0:
        return "silent" if trial.must_object(outcome.command) and not _said(outcome) else "ok"
    if results_of(world) != before and outcome.command != "label-efficiency":  # whose finished jobs are kept
        return "half-written"
    lines = [line for line in outcome.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("avjepa: error: ")]
    if len(errors) != 1 or lines[-1] != errors[0] or not any(name in errors[0] for name in trial.names):
        return "unnamed"
    return "refused"


def _said(outcome: Outcome) -> bool:
    """Whether a command that went on has mentioned something: a problem on the list, a line on stderr."""
    if outcome.command == "inspect":  # a problem, or a command that will not work with a split
        with contextlib.suppress(ValueError, KeyError, TypeError):
            report = json.loads(outcome.stdout)
            return bool(report["problems"]) or any(verdict["outcome"] != "runs" for verdict in report["verdicts"])
        return False
    return any(line.startswith(("avjepa: ", "avjepa.")) for line in outcome.stderr.splitlines())
