"""Two gloo processes give the loss and the gradients of one."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.invariance import Invariance
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.objective import Objective
from avjepa.pretrain.objectives.predictor import PredictorOptions
from avjepa.pretrain.objectives.regularisers import Regulariser, SIGReg, VarianceHinge, VICReg
from avjepa.pretrain.objectives.targets import EMATarget
from avjepa.pretrain.reduce import moments, summed
from tests.pretrain.toys import ToyEncoder, toy_batch

SEEDS = [11, 12, 13, 14]


def build(name: str) -> Objective:
    torch.manual_seed(0)
    encoder = ToyEncoder(channels=8)
    if name in ("vicreg views", "infonce views"):
        return Invariance(encoder, comparison=name.split()[0], width=16, tokens_per_sample=20)  # type: ignore[arg-type]
    regularisers: dict[str, Regulariser] = {
        "hinge": VarianceHinge(), "vicreg": VICReg(width=16), "sigreg": SIGReg(width=16, directions=32)
    }  # fmt: skip
    return JEPA(
        encoder, MultiBlock(sides=(1.0, 2.0)), EMATarget(), [regularisers[name]], PredictorOptions(8, (1,)),
        tokens_per_sample=20,
    )  # fmt: skip


NAMES = ("hinge", "vicreg", "sigreg", "vicreg views", "infonce views")


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


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    for name in NAMES:
        objective = build(name)
        out: dict[str, Any] = result(
            DistributedDataParallel(Loss(objective)), objective, SEEDS[2 * rank : 2 * rank + 2]
        )
        dist.all_reduce(out["loss"])
        out["loss"] /= 2
        torch.save(out, f"{folder}/{name}.{rank}")
    # rank 1 holds no row at all
    rows = torch.arange(6.0).reshape(3, 2)[: 3 * (1 - rank)].requires_grad_()
    mean, variance = moments(rows)
    (mean.sum() + variance.sum() + summed(rows.sum())).backward()
    torch.save(
        {"mean": mean.detach(), "variance": variance.detach(), "gradient": rows.grad}, f"{folder}/moments.{rank}"
    )
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gloo")
    # forked: two fresh interpreters would spend most of the test importing
    multiprocessing.start_processes(work, args=(str(path),), nprocs=2, start_method="fork")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_give_the_loss_gradients_and_statistics_of_one(folder: Path, name: str) -> None:
    objective = build(name)
    expected = result(Loss(objective), objective, SEEDS)
    for rank in (0, 1):
        found = torch.load(folder / f"{name}.{rank}", weights_only=True)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}")  # type: ignore[misc]


def test_statistics_when_one_process_holds_nothing(folder: Path) -> None:
    found = torch.load(folder / "moments.1", weights_only=True)
    assert found["mean"].tolist() == [2.0, 3.0]
    assert found["variance"].tolist() == pytest.approx([8 / 3, 8 / 3])
    rank0 = torch.load(folder / "moments.0", weights_only=True)
    # per process and before DDP's average: d mean = 1/3, d variance = 2 (x - mean) / 3, d sum = 1, each twice
    by_hand = 2 * (1 / 3 + 2 / 3 * torch.tensor([[-2.0, -2], [0, 0], [2, 2]]) + 1)
    torch.testing.assert_close(rank0["gradient"], by_hand)
