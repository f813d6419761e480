"""Two processes whose samples have different sensors neither hang nor differ from one process with all samples."""

from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avjepa.data.sample import Batch
from avjepa.fusion import FusedBackbone
from avjepa.training.batch_norm import synchronise_batch_norms
from tests.distributed.processes import on_two_processes
from tests.fusion.toys import SENSORS, batch_of, fused

HELD = (("lidar", "radar"), ("camera", "radar"))
"""The sensors of each process's samples."""


class Loss(nn.Module):
    """What DDP wraps: a module whose forward returns the loss, a mean over samples."""

    def __init__(self, backbone: FusedBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, batch: Batch) -> Tensor:
        return self.backbone(batch).features.square().mean()


def result(module: nn.Module, backbone: FusedBackbone, batch: Batch) -> dict[str, Tensor]:
    loss = module(batch)
    loss.backward()
    gradients = {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients, **{f"buffer {name}": b for name, b in backbone.named_buffers()}}


def work(rank: int) -> dict[str, Any]:
    backbone = fused().train()
    synchronise_batch_norms(backbone)
    own = batch_of([2 * rank + 1, 2 * rank + 2]).of_sensors(HELD[rank])
    found = result(DistributedDataParallel(Loss(backbone)), backbone, own)
    dist.all_reduce(found["loss"])
    found["loss"] /= 2
    return found


@cache
def of_two() -> list[dict[str, Any]]:
    return on_two_processes(work)


def test_two_processes_with_different_sensors_give_what_one_gives() -> None:
    backbone = fused().train()
    together = batch_of([1, 2, 3, 4])
    for sensor in SENSORS:
        kept = torch.tensor([sensor in held for held in HELD]).repeat_interleave(2)
        together = together.keeping(sensor, kept)
    expected = result(Loss(backbone), backbone, together)
    for of_rank in of_two():
        assert of_rank.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                of_rank[key], value, rtol=1e-3, atol=1e-5, msg=lambda message, key=key: f"{key}: {message}"
            )
