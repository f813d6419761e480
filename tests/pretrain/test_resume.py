"""A run that is killed, at whatever moment, and resumed ends exactly like one that was left alone."""

import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from avjepa.pretrain.monitoring.collapse_monitor import CollapseMonitor
from avjepa.training.metrics import read_curves
from tests.pretrain.toy_training import KillAt, train

STEPS = 10
SEED = int(os.environ.get("AVJEPA_TEST_SEED", random.SystemRandom().randrange(10**6)))
"""The property must hold wherever a run is killed, so it is killed somewhere else in every test run.

A failure names the seed; the environment variable gives it again."""


def run(directory: Path, kill: int | None = None, where: str = "start", **options: Any) -> int | None:
    """Train in a process of its own; its exit code, negative for a signal."""
    callbacks = [CollapseMonitor(every_n_steps=2, queue_size=64, queue_per_batch=16)]
    if kill is not None:
        callbacks.append(KillAt(kill, where))  # type: ignore[arg-type]
    process = multiprocessing.get_context("fork").Process(
        target=train, args=(directory,), kwargs={"steps": STEPS, "callbacks": callbacks, **options}
    )
    process.start()
    process.join(120)
    return process.exitcode


def state_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return content


def assert_equal(left: Any, right: Any, path: str = "") -> None:
    """Bit for bit."""
    assert type(left) is type(right), path
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype and torch.equal(left, right), path
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_equal(one, other, f"{path}/{index}")
    else:
        assert left == right, path


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Uninterrupted runs by accumulation."""
    runs = {}
    for accumulate in (1, 3):
        runs[accumulate] = tmp_path_factory.mktemp(f"untouched{accumulate}")
        assert run(runs[accumulate], accumulate=accumulate) == 0
    return runs


ANYWHERE = random.Random(SEED)
CASES = [
    pytest.param(3, 13, "start", 0, id="in the middle of accumulation"),
    pytest.param(3, 14, "step", 0, id="between backward and step"),
    pytest.param(1, 5, "end", 2, id="after a step, before its checkpoint, with data workers"),
    pytest.param(1, 1, "start", 0, id="before the first checkpoint"),
    pytest.param(3, ANYWHERE.randrange(3 * STEPS), ANYWHERE.choice(["start", "step", "end"]), 0, id="anywhere"),
]


@pytest.mark.parametrize(("accumulate", "kill", "where", "workers"), CASES)
def test_killed_and_resumed_equals_untouched(
    untouched: dict[int, Path], tmp_path: Path, accumulate: int, kill: int, where: str, workers: int
) -> None:
    options: dict[str, Any] = {"accumulate": accumulate, "workers": workers}
    assert run(tmp_path, kill, where, **options) == -signal.SIGKILL, f"seed {SEED}"
    assert run(tmp_path, **options) == 0
    left, right = state_of(untouched[accumulate]), state_of(tmp_path)
    assert left["global_step"] == STEPS
    # weights, EMA teacher and running statistics; AdamW's moments; the schedule; diagnostics
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "global_step"):
        assert_equal(left[part], right[part], f"{part} (kill {kill} {where}, seed {SEED})")
    # and the curves tell one story, without a gap or a step told twice
    ours, theirs = read_curves(tmp_path / "metrics.csv"), read_curves(untouched[accumulate] / "metrics.csv")
    compared = [name for name in theirs if name.startswith(("train/", "collapse/", "learning_rate"))]
    assert len(compared) > 10
    for name in compared:
        assert ours[name] == theirs[name], name
    assert ours["train/loss"][0] == list(range(STEPS))


def test_two_kills_are_survived(untouched: dict[int, Path], tmp_path: Path) -> None:
    for kill in (4, 8):
        assert run(tmp_path, kill, "end") == -signal.SIGKILL
    assert run(tmp_path) == 0
    assert_equal(state_of(untouched[1])["state_dict"], state_of(tmp_path)["state_dict"])


def test_resuming_a_finished_run_changes_nothing(untouched: dict[int, Path]) -> None:
    before = (untouched[1] / "checkpoints" / "last.ckpt").read_bytes()
    assert run(untouched[1]) == 0
    assert (untouched[1] / "checkpoints" / "last.ckpt").read_bytes() == before
