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
    seconds: float


def command_on_two_processes(*arguments: object) -> Ended:
    """``avjepa ARGUMENTS`` in two processes that something else has started, as torchrun or SLURM do."""
    started = time.monotonic()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")  # two fresh interpreters would spend most of the test importing
        everyone = [
            context.Process(target=_command, args=(rank, port, Path(folder), list(map(str, arguments))))
            for rank in range(PROCESSES)
        ]
        for process in everyone:
            process.start()
        for process in everyone:
            process.join(120)
            process.kill()  # a hang is a code of -9
            process.join()
        stderr = "".join((Path(folder) / f"{rank}.err").read_text() for rank in range(PROCESSES))
    codes = [process.exitcode for process in everyone]
    return Ended([-1 if code is None else code for code in codes], stderr, time.monotonic() - started)


def _command(rank: int, port: int, folder: Path, arguments: list[str]) -> None:
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ |= {
        "LOCAL_RANK": str(rank), "RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": str(PROCESSES), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    code = cli.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
