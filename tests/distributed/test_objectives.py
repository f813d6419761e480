"""Two gloo processes give the loss and the gradients of one."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avjepa.distributed import moments, summed
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.invariance import Invariance
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.objective import Objective
from avjepa.pretrain.objectives.predictor import PredictorOptions
from avjepa.pretrain.objectives.regularisers import (
    RegulariserOptions,
    SIGRegOptions,
)
from avjepa.pretrain.objectives.targets import EMATargetOptions
from tests.distributed.processes import on_two_processes
from tests.pretrain.toys import ToyEncoder, toy_batch

SEEDS = [11, 12, 13, 14]


def build(name: str) -> Objective:
    torch.manual_seed(0)
    encoder = ToyEncoder(channels=8)
    if name in ("vicreg views", "infonce views"):
        return Invariance(encoder, comparison=name.split()[0], width=16, tokens_per_sample=20)  # type: ignore[arg-type]
    regularisers: tuple[RegulariserOptions, ...] = (SIGRegOptions(width=16, directions=32),)
    return JEPA(
        encoder, MultiBlock(sides=(1.0, 2.0)), EMATargetOptions(), regularisers, PredictorOptions(8, (1,)),
        tokens_per_sample=20,
    )  # fmt: skip


NAMES = ("sigreg", "vicreg views", "infonce views")


class Loss(nn.Module):
    """What DDP wraps: a module whose forward returns the loss."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, seeds: list[int]) -> Tensor:
        loss: Tensor = self.objective(toy_batch(seeds, things=4)).loss
        return loss


def result(module: nn.Module, objective: Objective, seeds: list[int]) -> dict[str, Tensor]:
    loss = module(seeds)
    loss.backward()
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    buffers = {f"buffer {name}": buffer for name, buffer in objective.named_buffers()}
    return {"loss": loss.detach(), **gradients, **buffers}


def work(rank: int) -> dict[str, Any]:
    results = {}
    for name in NAMES:
        objective = build(name)
        found: dict[str, Any] = result(
            DistributedDataParallel(Loss(objective)), objective, SEEDS[2 * rank : 2 * rank + 2]
        )
        dist.all_reduce(found["loss"])
        found["loss"] /= 2
        results[name] = found
    return results


@cache
def of_two() -> list[dict[str, Any]]:
    return on_two_processes(work)


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_give_the_loss_gradients_and_statistics_of_one(name: str) -> None:
    found = of_two()
    objective = build(name)
    expected = result(Loss(objective), objective, SEEDS)
    for of_rank in found:
        assert of_rank[name].keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                of_rank[name][key], value, rtol=1e-3, atol=1e-5, msg=lambda message, key=key: f"{key}: {message}"
            )


def moments_where_rank_1_holds_no_row(rank: int) -> dict[str, Any]:
    rows = torch.arange(6.0).reshape(3, 2)[: 3 * (1 - rank)].requires_grad_()
    mean, variance = moments(rows)
    (mean.sum() + variance.sum() + summed(rows.sum())).backward()
    return {"mean": mean.detach(), "variance": variance.detach(), "gradient": rows.grad}


def test_statistics_when_one_process_holds_nothing() -> None:
    first, second = on_two_processes(moments_where_rank_1_holds_no_row)
    assert second["mean"].tolist() == [2.0, 3.0]
    assert second["variance"].tolist() == pytest.approx([8 / 3, 8 / 3])
    # per process and before DDP's average: d mean = 1/3, d variance = 2 (x - mean) / 3, d sum = 1, each twice
    by_hand = 2 * (1 / 3 + 2 / 3 * torch.tensor([[-2.0, -2], [0, 0], [2, 2]]) + 1)
    torch.testing.assert_close(first["gradient"], by_hand)
