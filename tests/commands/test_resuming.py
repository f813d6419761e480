"""A resumed training uses the options it is given, says which are new, and refuses those that it cannot use."""

import json
import multiprocessing
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml

import avjepa
from avjepa.commands.resuming import changed_options, may_change
from avjepa.locking import locked
from avjepa.training.metrics import read_curves
from avjepa.training.optimiser import learning_rate_factor
from tests.commands.small import small
from tests.commands.test_bad_input import refused

LAST = ("--ckpt_path", "last")


@pytest.fixture(scope="module")
def finished(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pre-training of four steps."""
    folder = tmp_path_factory.mktemp("resuming") / "run"
    assert small("pretrain", tiny, folder, "--steps", 4) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def rates(run: Path) -> dict[int, float]:
    """Learning rate by step, as it was logged."""
    return dict(zip(*read_curves(run / "metrics.csv")["learning_rate"], strict=True))


def expected_rates(steps: int, peak: float = 1e-3) -> list[float]:
    options = {"max_steps": steps, "warmup_steps": round(0.05 * steps), "cooldown_steps": 0, "final_factor": 0.0}
    return [peak * learning_rate_factor(step, schedule="cosine", **options) for step in range(steps)]  # type: ignore[arg-type]


def test_a_finished_training_that_is_lengthened_follows_the_longer_schedule(
    run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert small("pretrain", tiny, run, "--steps", 10, *LAST) == 0
    assert "goes on from step 4 with trainer.max_steps 10 (was 4)" in capfd.readouterr().err
    found = rates(run)
    assert [found[step] for step in range(4, 10)] == pytest.approx(expected_rates(10)[4:])
    assert [found[step] for step in range(4)] == pytest.approx(expected_rates(4))
    assert min(found[step] for step in range(4, 10)) > 0
    assert json.loads((run / "provenance.json").read_text())["steps"] == 10
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == 10


def test_another_learning_rate_and_weight_decay_are_used_and_said(
    run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--model.learning_rate", 0.02, "--model.weight_decay", 0.5)
    assert small("pretrain", tiny, run, "--steps", 6, *LAST, *options) == 0
    error = capfd.readouterr().err
    assert "model.learning_rate 0.02 (was 0.001)" in error and "model.weight_decay 0.5 (was 0.05)" in error
    assert [rates(run)[step] for step in (4, 5)] == pytest.approx(expected_rates(6, 0.02)[4:])
    (optimiser,) = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"]
    assert {group["weight_decay"] for group in optimiser["param_groups"]} == {0.0, 0.5}
    assert optimiser["state"][0]["step"] == 6, "the moments are those of all steps"
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["learning_rate"] == 0.02


def test_where_and_how_a_training_runs_may_change(run: Path, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    elsewhere = run.parent / "elsewhere"
    checkpoint = ("--ckpt_path", run / "checkpoints" / "last.ckpt", "--checkpoint_every", 1, "--data.workers", 1)
    assert small("pretrain", copy, elsewhere, "--steps", 5, *checkpoint) == 0
    error = capfd.readouterr().err
    assert "data.dataroot" in error and "data.workers 1 (was 0)" in error and "checkpoint_every 1 (was 500)" in error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data.batch_size", 1], ["data.batch_size 1 (was 2)"]),
        (["--seed", 3], ["seed_everything 3 (was 0)"]),
        (["--data.scenes", "[scene-0000]"], ["data.scenes"]),
        (["--model.objective.init_args.predictor.width", 16], ["model.objective.init_args.predictor.width 16 (was 8)"]),
        (["--trainer.accumulate_grad_batches", 2], ["trainer.accumulate_grad_batches 2 (was 1)"]),
        (["--steps", 3], ["4 steps", "--steps 3"]),
    ],
)
def test_what_past_steps_depend_on_is_refused_and_nothing_is_written(
    run: Path, tiny: Path, capfd: pytest.CaptureFixture[str], options: list[object], words: list[str]
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused(capfd, small("pretrain", tiny, run, "--steps", 6, *LAST, *options), "last.ckpt", *words)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_changed_tables_are_other_data(run: Path, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = copy / "v1.0-tiny" / "ego_pose.json"
    table.write_text(table.read_text().replace("0.1", "0.2"))
    refused(capfd, small("pretrain", copy, run, "--steps", 6, *LAST), "last.ckpt", "tables", "data.dataroot")


def test_other_classes_are_other_data_also_under_the_name_of_the_file(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nuscenes = Path(avjepa.__file__).parent / "data" / "taxonomies" / "nuscenes.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text(nuscenes.read_text())
    run, options = tmp_path / "run", ("--data.taxonomy", mine)
    assert small("finetune", tiny, run, "--steps", 1, *options) == 0
    assert small("finetune", tiny, run, "--steps", 2, *options, *LAST) == 0, "the same classes"
    classes = yaml.safe_load(nuscenes.read_text())
    moved = next(category for category, name in classes["categories"].items() if name == "truck")
    classes["categories"][moved] = "car"
    mine.write_text(yaml.safe_dump(classes, sort_keys=False))
    capfd.readouterr()
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    refused(capfd, small("finetune", tiny, run, "--steps", 3, *options, *LAST), "last.ckpt", "taxonomy")
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_checkpoints_of_another_command_or_origin_are_refused(
    run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = run / "checkpoints" / "last.ckpt"
    code = small("finetune", tiny, run.parent / "f", "--steps", 6, "--ckpt_path", path)
    refused(capfd, code, "last.ckpt", "avjepa pretrain", "avjepa finetune")
    content = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in content.items() if name != "provenance"}, path)
    refused(capfd, small("pretrain", tiny, run, "--steps", 6, *LAST), "last.ckpt", "how it was trained")


def test_a_training_that_replaces_another_says_so(run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert small("pretrain", tiny, run, "--steps", 1) == 0
    assert "last.ckpt: will be replaced" in capfd.readouterr().err


def test_what_may_change() -> None:
    assert may_change("trainer.max_steps") and may_change("model.learning_rate") and may_change("data.workers")
    assert not may_change("model.learning_rates") and not may_change("seed_everything") and not may_change("data.seed")
    assert not may_change("trainer.accumulate_grad_batches")
    before = {"out": "a", "data": {"scenes": [1, 2], "workers": 1}, "model": {"old": None}}
    now = {"out": "b", "data": {"scenes": [1, 3], "workers": 1}, "model": {"old": None, "new": 1}}
    assert changed_options(before, now) == {"data.scenes": ([1, 2], [1, 3]), "model.new": (None, 1)}


def hold(folder: Path) -> None:
    with locked(folder):
        time.sleep(60)


def test_two_runs_do_not_write_one_folder(run: Path, tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = multiprocessing.get_context("fork").Process(target=hold, args=(run,))
    other.start()
    while not (run / ".lock").is_file() or not (run / ".lock").read_text():
        time.sleep(0.01)
    before = (run / "config.yaml").read_bytes()
    try:
        refused(capfd, small("pretrain", tiny, run, "--steps", 6, *LAST), str(run), f"process {other.pid}")
        assert (run / "config.yaml").read_bytes() == before
    finally:
        other.kill()
        other.join()
    assert other.exitcode == -signal.SIGKILL
    leftovers = [run / ".config.yaml.abc.part", run / "checkpoints" / ".last.ckpt.abc.part"]
    for path in leftovers:
        path.write_text("half")
    assert small("pretrain", tiny, run, "--steps", 5, *LAST) == 0, "the dead process holds nothing"
    assert not any(path.exists() for path in leftovers) and not (run / ".lock").exists()
