"""Gradients and logged losses of two processes with a sample each are those of one process with both, as shipped."""

import copy
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch import Tensor, nn

from avjepa.commands.finetune import FinetuneCLI
from avjepa.commands.pretrain import PretrainCLI
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.distributed import means_over_processes
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.training.batch_norm import synchronise_batch_norms
from tests.distributed.processes import mean_gradient, on_two_processes

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GRID = "{x_min: -25.6, x_max: 25.6, y_min: -25.6, y_max: 25.6, cell: 0.8}"
SHIPPED = ("lidar_tiny", "camera_tiny", "radar_tiny")


def built(kind: str, name: str, data: Path, out: Path, batch_size: int) -> tuple[LightningModule, Any]:
    """Module and datamodule of a shipped configuration, on a smaller grid."""
    encoder = "--model.objective.init_args.encoder" if kind == "pretrain" else "--model.backbone"
    arguments = [
        f"--config={CONFIGS / kind / f'{name}.yaml'}", f"--data={data}", "--version=v1.0-tiny", f"--out={out}",
        "--data.workers=0", f"--data.batch_size={batch_size}", "--trainer.accelerator=cpu",
        f"{encoder}.init_args.token_grid={GRID}",
    ]  # fmt: skip
    if kind == "pretrain":
        cli: Any = PretrainCLI(kind, PretrainModule, PretrainDataModule, arguments)
    else:
        cli = FinetuneCLI(kind, FinetuneModule, DetectionDataModule, arguments)
    return cli.model, cli.datamodule


def in_double(module: nn.Module) -> None:
    """So that what differs is not rounding: a rectifier that shuts a constant area of a map shows 1e-7 as 1e-3."""

    def doubled(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)

    for layer in module.modules():
        if any(True for _ in layer.parameters(recurse=False)):
            layer._apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, recurse=False)
            layer.register_forward_pre_hook(doubled)


def first_batch(data: Any, rank: int, processes: int) -> Any:
    data = copy.copy(data)
    data.trainer = SimpleNamespace(
        global_rank=rank,
        is_global_zero=rank == 0,
        world_size=processes,
        max_steps=4,
        accumulate_grad_batches=1,
        train_dataloader=None,
    )
    data.setup("fit")
    return next(iter(data.train_dataloader()))


def step(module: Any, batch: Any) -> dict[str, Any]:
    """Gradients, running statistics and logged terms of a training step."""
    module.train()
    if isinstance(module, PretrainModule):
        output = module.objective(batch)
        loss, terms = output.loss, output.terms
    else:
        output = module.model.loss(batch)
        loss, terms = output.total, output.terms
    loss.backward()
    return {
        "gradients": {name: p.grad for name, p in module.named_parameters() if p.grad is not None},
        "buffers": {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()},
        "terms": means_over_processes({"loss": loss, **terms}),
    }


def require_equal(found: dict[str, Tensor], expected: dict[str, Tensor], rounding: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        difference = (found[name] - value).norm()
        assert difference <= 1e-4 * value.norm() + rounding, f"{name}: {difference} of {value.norm()}"


@pytest.mark.parametrize(
    ("kind", "name"), [*itertools.product(("pretrain", "finetune"), SHIPPED), ("finetune", "lidar_tiny_two_heads")]
)
def test_two_processes_train_as_one(kind: str, name: str, tiny: Path, tmp_path: Path) -> None:
    module, data = built(kind, name, tiny, tmp_path, 1)
    in_double(module)
    _, joint_data = built(kind, name, tiny, tmp_path, 2)

    def work(rank: int) -> dict[str, Any]:
        synchronise_batch_norms(module)
        return step(module, first_batch(data, rank, 2))

    found = on_two_processes(work)
    expected = step(module, first_batch(joint_data, 0, 1))
    total = float(torch.stack([gradient.norm() for gradient in expected["gradients"].values()]).norm())
    gradients = {name: mean_gradient([one["gradients"][name] for one in found]) for name in found[0]["gradients"]}
    require_equal(gradients, expected["gradients"], 1e-6 * total)
    for one in found:
        require_equal(one["buffers"], expected["buffers"], 1e-5)
        require_equal(one["terms"], expected["terms"], 1e-6)
