"""Two gloo processes on the CPU, for tests of what several processes do together."""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from avjepa import cli

PROCESSES = 2
OUTPUTS = ("out", "err")
Surroundings = Callable[[int, int], dict[str, str]]
"""Environment variables of the process of a rank, which finds the others at a port."""


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


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@dataclass(frozen=True)
class Ended:
    """How a command ended on all processes."""

    codes: list[int]
    stderr: str
    said: list[str]
    """On stdout and stderr, by process."""
    seconds: float


def of_one_node(rank: int, port: int) -> dict[str, str]:
    """The environment that something which starts both processes on one node gives them."""
    return {
        "LOCAL_RANK": str(rank), "RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": str(PROCESSES), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip


def of_two_nodes(rank: int, port: int) -> dict[str, str]:
    """The environment that torchrun gives one process on each of two nodes."""
    return {
        "LOCAL_RANK": "0", "RANK": str(rank), "GROUP_RANK": str(rank), "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip


def command_on_two_processes(*arguments: object, surroundings: Surroundings = of_one_node) -> Ended:
    """``avjepa ARGUMENTS`` in two processes that something else has started, as torchrun or SLURM do."""
    started = time.monotonic()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")  # two fresh interpreters would spend most of the test importing
        everyone = [
            context.Process(
                target=_command, args=(rank, surroundings(rank, port), Path(folder), list(map(str, arguments)))
            )
            for rank in range(PROCESSES)
        ]
        for process in everyone:
            process.start()
        for process in everyone:
            process.join(120)
            process.kill()  # a hang is a code of -9
            process.join()
        stdout, stderr = ([(Path(folder) / f"{n}.{kind}").read_text() for n in range(PROCESSES)] for kind in OUTPUTS)
    codes = [-1 if process.exitcode is None else process.exitcode for process in everyone]
    said = [out + err for out, err in zip(stdout, stderr, strict=True)]
    return Ended(codes, "".join(stderr), said, time.monotonic() - started)


def _command(rank: int, environment: dict[str, str], folder: Path, arguments: list[str]) -> None:
    for descriptor, name in enumerate(OUTPUTS, start=1):
        os.dup2(os.open(folder / f"{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ |= environment
    code = cli.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
