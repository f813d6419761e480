from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from avjepa.bundle.files import save_bundle
from avjepa.bundle.weights import state_hash
from avjepa.data.sample import Batch
from avjepa.errors import UserError
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.geometry.grid import BEVGrid
from avjepa.training.checkpoints import AtomicCheckpointIO
from tests.finetune.toys import CountingEncoder, fit, toy_batch, toy_module


class DeeperEncoder(CountingEncoder):
    """The same grid and channels, one layer more."""

    def __init__(self) -> None:
        super().__init__()
        self.deeper = nn.Linear(1, 1, bias=False)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_a_frozen_backbone_keeps_every_parameter_and_buffer_while_the_head_learns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = toy_module(mode="frozen", dropout=0.5)
    backbone, head = state_hash(module.model.backbone), state_hash(module.model.heads)
    fit(module, 6)
    assert state_hash(module.model.backbone) == backbone
    assert state_hash(module.model.heads) != head
    assert all(parameter.grad is None for parameter in module.model.backbone.parameters())
    assert "random weights" in capsys.readouterr().err


def test_a_frozen_backbone_that_changes_is_an_error() -> None:
    class Meddler(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            pl_module.model.backbone.layers[1].running_mean += 1  # type: ignore[operator, union-attr, index]

    with pytest.raises(RuntimeError, match="frozen backbone changed"):
        fit(toy_module(mode="frozen"), 2, callbacks=[Meddler()])


def test_end_to_end_training_changes_parameters_and_statistics_of_the_backbone() -> None:
    module = toy_module()
    before = weights(module.model.backbone)
    fit(module, 3)
    assert all(not torch.equal(tensor, before[name]) for name, tensor in weights(module.model.backbone).items())


def test_the_backbone_is_held_still_for_the_first_steps_only() -> None:
    class Watch(Callback):
        hashes: list[tuple[str, str]] = []  # noqa: RUF012

        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            assert isinstance(pl_module, FinetuneModule)
            self.hashes.append((state_hash(pl_module.model.backbone), state_hash(pl_module.model.heads)))

    module, watch = toy_module(head_first_steps=3, dropout=0.3), Watch()
    start = state_hash(module.model.backbone)
    fit(module, 5, callbacks=[watch])
    backbone, heads = zip(*watch.hashes, strict=True)
    assert backbone[:3] == (start,) * 3
    assert len({start, *backbone[3:]}) == 3
    assert len(set(heads)) == 5


def test_the_backbone_has_its_own_learning_rate() -> None:
    slow, fast = toy_module(backbone_learning_rate_factor=0.0), toy_module()
    before = weights(slow.model.backbone)
    for module in (slow, fast):
        fit(module, 3, gradient_clip_val=None)
    for name, parameter in slow.model.backbone.named_parameters():
        assert torch.equal(parameter, before[name])
        assert not torch.equal(fast.model.backbone.get_parameter(name), before[name])


def test_training_starts_from_the_weights_of_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(5)
    pretrained = CountingEncoder()
    save_bundle(pretrained, tmp_path / "bundle", {})
    module = toy_module(mode="frozen", bundle=str(tmp_path / "bundle"))
    assert state_hash(module.model.backbone) != state_hash(pretrained)
    fit(module, 1)
    assert state_hash(module.model.backbone) == state_hash(pretrained)
    assert "7 tensors matched, 0 missing, 0 unexpected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pretrained", "complaint"),
    [
        (CountingEncoder(channels=8), "out_channels is 8, not 4"),
        (DeeperEncoder(), "unexpected: deeper.weight"),
        (CountingEncoder(grid=BEVGrid(-8.0, 8.0, -8.0, 8.0, 1.0)), "grid"),
    ],
)
def test_weights_that_do_not_fit_are_refused(pretrained: CountingEncoder, complaint: str, tmp_path: Path) -> None:
    save_bundle(pretrained, tmp_path / "bundle", {})
    module = toy_module(bundle=str(tmp_path / "bundle"))
    before = state_hash(module)
    with pytest.raises(UserError, match=complaint):
        fit(module, 1)
    assert state_hash(module) == before


def test_a_resumed_run_ends_like_one_that_was_not_interrupted(tmp_path: Path) -> None:
    save_bundle(CountingEncoder(), tmp_path / "bundle", {})
    options: dict[str, Any] = {"dropout": 0.5, "head_first_steps": 2, "bundle": str(tmp_path / "bundle")}
    straight = toy_module(**options)
    fit(straight, 8)

    class Stop(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 4:
                trainer.save_checkpoint(tmp_path / "last.ckpt")
                trainer.should_stop = True

    safely = {"plugins": [AtomicCheckpointIO()]}
    fit(toy_module(**options), 8, callbacks=[Stop()], **safely)
    # the bundle is no longer needed, and other initial weights must not matter
    resumed = toy_module(**(options | {"bundle": str(tmp_path / "gone")}))
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.fill_(7.0)
    fit(resumed, 8, ckpt_path=str(tmp_path / "last.ckpt"), **safely)
    assert state_hash(resumed) == state_hash(straight)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_term() -> None:
    module = toy_module()
    with torch.no_grad():
        module.model.heads["detection"].towers.box_towers[0].fields["size"].bias.fill_(torch.nan)  # type: ignore
    with pytest.raises(UserError, match="detection/size = nan"):
        fit(module, 1)


def test_it_learns_to_detect() -> None:
    module = toy_module(learning_rate=1e-2)
    fit(module, 150)
    module.eval()
    found = hits = 0
    batches: list[Batch] = [toy_batch(seed) for seed in range(4)]
    for batch in batches:
        assert batch.labels is not None
        for detections, labels in zip(module.model.predict(batch)["detection"], batch.labels, strict=True):
            sure = detections.boxes[detections.scores > 0.3, :2]
            distance = torch.cdist(sure, labels.boxes[:, :2])
            found += len(sure)
            hits += int((distance.min(1).values < 1.0).sum()) if len(sure) else 0
    assert hits >= 14  # of 16 cars
    assert hits >= 0.8 * found
