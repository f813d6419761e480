"""Two gloo processes on the CPU, for tests of what several processes do together."""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

PROCESSES = 2


def _work(rank: int, folder: str, work: Callable[[int], Any]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=PROCESSES)
    torch.save(work(rank), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def on_two_processes(work: Callable[[int], Any]) -> list[Any]:
    """What ``work(rank)`` returns in each process; tensors and plain values. An error in one fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        # forked: two fresh interpreters would spend most of the test importing
        multiprocessing.start_processes(_work, args=(folder, work), nprocs=PROCESSES, start_method="fork")
        return [torch.load(f"{folder}/{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


def mean_gradient(gradients: list[torch.Tensor]) -> torch.Tensor:
    """What ``DistributedDataParallel`` makes of the processes' gradients."""
    return torch.stack(gradients).mean(0)
