"""How the benchmarks measure: warm-up, median over repeats, peak memory, one table."""

import argparse
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Measurement:
    """What a call costs.

    Attributes:
        milliseconds: median over the repeats.
        fastest: fastest repeat, in milliseconds; far below the median, other programs were running.
        peak_mib: memory in use at the worst moment beyond what was in use before, in MiB.
    """

    milliseconds: float
    fastest: float
    peak_mib: float


def measure(function: Callable[[], Any], device: torch.device, warm_up: int = 2, repeats: int = 10) -> Measurement:
    """Time ``function`` on a device, asynchronous work included."""
    for _ in range(warm_up):
        function()
    _synchronise(device)
    before = _restart_peak(device)  # after the warm-up, so that caches and one-time work do not count
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        _synchronise(device)
        durations.append(1e3 * (time.perf_counter() - start))
    return Measurement(statistics.median(durations), min(durations), max(0.0, _peak(device) - before) / 2**20)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Numbers are right-aligned; a float gets three significant digits."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if isinstance(rows[0][index], str) else "right")
    for row in rows:
        table.add_row(*(f"{cell:,.3g}" if isinstance(cell, float) and cell < 1000 else _text(cell) for cell in row))
    Console(width=None if Console().is_terminal else 140).print(table)


def argument_parser(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    parser.add_argument("--batch-size", type=int, default=4, help="samples in a batch")
    parser.add_argument("--repeats", type=int, default=10, help="timed calls after two for warming up")
    parser.add_argument("--data", type=Path, default=None, help="a nuScenes root; without it clouds are generated")
    return parser


def describe(device: torch.device) -> str:
    """The hardware and the torch version, for the title of a table."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = f"{names[0].split(':')[1].strip() if names else 'CPU'}, {torch.get_num_threads()} thread(s)"
    return f"{name}, torch {torch.__version__}"


def _text(cell: object) -> str:
    return f"{cell:,.0f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _restart_peak(device: torch.device) -> int:
    """Forget the peak so far; the bytes in use now. On the CPU this needs Linux with glibc."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or freed memory that the allocator keeps would count as in use
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak resident size anew
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
