"""What the training loop does around an objective."""

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from avjepa.bundle.weights import state_hash
from avjepa.encoders.bundled import load_encoder
from avjepa.errors import UserError
from avjepa.pretrain.export import export_backbone
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.pretrain.monitoring.alarm import CollapseError
from avjepa.pretrain.monitoring.collapse_monitor import CollapseMonitor
from avjepa.training.finite import NonFiniteError
from avjepa.training.metrics import read_curves
from tests.pretrain.toy_training import ToyEncoder, ToyObjective, toy_batch, train


def objective_of(module: PretrainModule) -> ToyObjective:
    assert isinstance(module.objective, ToyObjective)
    return module.objective


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_objective_follows_every_optimiser_step_and_no_batch(tmp_path: Path, accumulate: int) -> None:
    module = train(tmp_path, steps=5, accumulate=accumulate)
    assert objective_of(module).steps_seen == [1, 2, 3, 4, 5]


def test_every_parameter_of_the_objective_is_trained(tmp_path: Path) -> None:
    """A mask token belongs to the objective and to none of its children."""
    torch.manual_seed(1)
    before = {name: tensor.clone() for name, tensor in ToyObjective(0.2, True).named_parameters()}
    after = dict(objective_of(train(tmp_path, steps=3)).named_parameters())
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_terms_rates_and_speed_are_logged(tmp_path: Path) -> None:
    train(tmp_path, steps=20, accumulate=2)
    curves = read_curves(tmp_path / "metrics.csv")
    assert curves["train/loss"][0] == curves["train/prediction"][0] == curves["learning_rate"][0] == list(range(20))
    # warm-up of 3 steps to .05, then half a cosine over the 17 that remain
    rates = curves["learning_rate"][1]
    assert rates[:4] == pytest.approx([0.0125, 0.025, 0.0375, 0.05])
    assert rates[10] == pytest.approx(0.05 * (1 + math.cos(math.pi * 7 / 17)) / 2)
    assert curves["samples_per_second"][0] == [9, 19]
    assert all(0 <= share <= 1 for share in curves["data_wait_share"][1])
    assert all(0.1 < gibibytes < 64 for gibibytes in curves["peak_memory_gib"][1])


class Spoil(Callback):
    """Makes a weight NaN before a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            with torch.no_grad():
                next(pl_module.parameters())[0] = float("nan")


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"loss is nan at step 7: prediction = nan, batch of \d+, \d+"):
        train(tmp_path, steps=12, every=3, callbacks=[Spoil(7)])
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())


class InfiniteGradient(Callback):
    """The loss is finite, the gradient is not: the step spoils the weights."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if trainer.global_step == 5:
            next(p for p in pl_module.parameters() if p.grad is not None).grad.fill_(float("inf"))  # type: ignore[union-attr]


def test_weights_that_are_not_finite_do_not_replace_a_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="not finite after step 6"):
        train(tmp_path, steps=12, every=3, callbacks=[InfiniteGradient()])
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3


def test_a_pickle_bomb_is_not_resumed_from(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.mkdir, (tmp_path / "exploded",))

    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"state_dict": {}, "x": Bomb()}))
    with pytest.raises(UserError, match="refused"):
        train(tmp_path, steps=2)
    assert not (tmp_path / "exploded").exists()


def test_diagnostics_do_not_touch_the_training(tmp_path: Path) -> None:
    plain = train(tmp_path / "plain", steps=6)
    watched = train(tmp_path / "watched", steps=6, callbacks=[CollapseMonitor(every_n_steps=1)])
    assert state_hash(plain) == state_hash(watched)


def test_the_monitor_logs_what_it_measures(tmp_path: Path) -> None:
    monitor = CollapseMonitor(every_n_steps=3, queue_size=64, queue_per_batch=16)
    train(tmp_path, steps=9, accumulate=2, callbacks=[monitor])
    curves = read_curves(tmp_path / "metrics.csv")
    for role in ("context", "prediction", "target"):
        for kind in ("occupied", "empty"):
            assert curves[f"collapse/{role}_std_{kind}"][0] == [0, 2, 5, 8]
            assert curves[f"collapse/{role}_cosine_{kind}"][0] == [0, 2, 5, 8]
    assert curves["collapse/rank_centred"][0] == [0, 2, 5, 8]
    assert curves["collapse/probe_precision"][0] == [0, 2, 5, 8]
    assert monitor.latest["rank_centred"] == curves["collapse/rank_centred"][1][-1]


class Collapsed(ToyObjective):
    """Whose encoder says the same everywhere."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            assert isinstance(self.encoder, ToyEncoder)
            self.encoder.convolution.weight *= 1e-6


@pytest.mark.parametrize("on_collapse", ["warn", "stop"])
def test_collapse_is_told_once_or_stops(
    tmp_path: Path, on_collapse: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pretrain.toy_training.ToyObjective", lambda dropout, norm: Collapsed())
    monkeypatch.setattr("tests.pretrain.toy_training.PEAK_LEARNING_RATE", 1e-9)
    monitor = CollapseMonitor(every_n_steps=1, on_collapse=on_collapse)  # type: ignore[arg-type]
    if on_collapse == "stop":
        with pytest.raises(CollapseError, match="step 1: std of context embeddings"):
            train(tmp_path, steps=4, callbacks=[monitor])
    else:
        train(tmp_path, steps=4, callbacks=[monitor])
        assert capsys.readouterr().err.count("embeddings collapse at step 1") == 1


@pytest.mark.parametrize("points", [0, 1, 2, 9])
def test_sparse_input_is_measured_or_left_out(tmp_path: Path, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.pretrain.toy_training.toy_batch", lambda seeds: toy_batch(seeds, points))
    train(tmp_path, steps=4, norm=False, callbacks=[CollapseMonitor(every_n_steps=1)])
    curves = read_curves(tmp_path / "metrics.csv")
    assert all(math.isfinite(value) for _, values in curves.values() for value in values)
    if points in (0, 9):
        assert ("collapse/context_std_occupied" in curves) == (points > 0)
    assert len(curves["collapse/context_std_empty"][0]) == 4


def test_a_checkpoint_exports_encoder_and_teacher(tmp_path: Path) -> None:
    module = objective_of(train(tmp_path, steps=4))
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    for which, source in (("encoder", module.encoder), ("teacher", module.teacher)):
        manifest = export_backbone(checkpoint, tmp_path / which, {"seed": 5}, which)
        assert manifest.provenance == {"seed": 5, "exported": which, "step": 4}
        assert state_hash(load_encoder(tmp_path / which)) == state_hash(source)
    assert state_hash(module.encoder) != state_hash(module.teacher)
    with pytest.raises(UserError, match="no encoder 'student'; choose one of encoder, teacher"):
        export_backbone(checkpoint, tmp_path / "x", {}, "student")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="not written by pre-training"):
        export_backbone(tmp_path / "other.ckpt", tmp_path / "x", {})


def test_max_steps_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.max_steps"):
        train(tmp_path, steps=-1)


def test_the_screen_shows_nothing_but_our_own_lines(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.pretrain.toy_training", str(tmp_path / "run"), "steps=3"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if not line.startswith("avjepa: ")] == []


def weights_after(directory: Path, **options: Any) -> dict[str, Any]:
    train(directory, steps=3, dropout=0.0, norm=False, **options)
    saved: dict[str, Any] = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return saved


def test_two_processes_do_what_one_does_with_twice_the_batch(tmp_path: Path) -> None:
    one = weights_after(tmp_path / "one", batch_size=4)
    two = weights_after(tmp_path / "two", batch_size=2, devices=2, strategy="ddp_fork")
    assert one["ToyData"] == two["ToyData"] == {"consumed": 12}
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], tensor, rtol=1e-5, atol=1e-6)
    fresh = weights_after(tmp_path / "alone", batch_size=2)
    assert not torch.allclose(
        *(run["state_dict"]["objective.encoder.convolution.weight"] for run in (one, fresh)), rtol=1e-3
    )


def test_the_checkpoint_of_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    train(tmp_path, steps=2, norm=False)
    with pytest.raises(UserError, match=r"another model: objective\.encoder\.norm\.\w+ is nothing there") as error:
        train(tmp_path, steps=2, norm=True)
    assert "\n" not in str(error.value)
