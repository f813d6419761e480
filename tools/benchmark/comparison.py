"""Ours beside a peer, in turn in one run: a row of ``docs/results/speed.csv`` and the line that it prints."""

import argparse
import csv
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from timing import describe, print_table


@dataclass(frozen=True)
class Comparison:
    """A row of the table of speeds.

    Attributes:
        work: what is done, and who the peer is.
        ours, peer: medians over the rounds, in ``unit``; less is better, but for samples a second.
        ratio: how many times better ours is: the median over the rounds, of which the two run one after the other, so
            that what slows the machine for a while slows both.
        hardware: processor, threads and the version of torch.
    """

    work: str
    ours: float
    peer: float
    unit: str
    ratio: float
    hardware: str


def in_turn(
    work: str, ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 10, warm_up: int = 1, calls: int = 1
) -> Comparison:
    """Time two functions in turn on the CPU, in milliseconds of one unit of work.

    Args:
        work: what the row is called.
        ours, peer: the functions; both do the same work.
        rounds: timed rounds of both.
        warm_up: rounds ahead that are not timed.
        calls: units of work that a call of either does.
    """
    for _ in range(warm_up):
        ours(), peer()
    times = [(_milliseconds(ours) / calls, _milliseconds(peer) / calls) for _ in range(rounds)]
    return of_rounds(work, times, "ms")


def of_rounds(work: str, times: Sequence[tuple[float, float]], unit: str) -> Comparison:
    """The row of rounds that were timed elsewhere, in other processes say: (ours, peer) each."""
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(peer / ours for ours, peer in times)
    return Comparison(work, mine, theirs, unit, ratio, describe(torch.device("cpu")))


def report(rows: Sequence[Comparison], csv_file: Path | None) -> None:
    """Print rows, and put them into a table of speeds, where those of the same work are replaced."""
    print_table(
        f"Ours beside a peer: {rows[0].hardware}",
        ("work", "ours", "peer", "unit", "ratio"),
        [(row.work, float(row.ours), float(row.peer), row.unit, float(row.ratio)) for row in rows],
    )
    if csv_file is None:
        return
    kept = {row[0]: row for row in _read(csv_file)}
    kept |= {row.work: [_written(value) for value in astuple(row)] for row in rows}
    csv_file.parent.mkdir(parents=True, exist_ok=True)
    with csv_file.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Comparison)])
        writer.writerows(kept.values())


def add_options(parser: argparse.ArgumentParser, rounds: int = 10) -> None:
    """The options of every comparison."""
    parser.add_argument("--rounds", type=int, default=rounds, help="timed rounds, ours and the peer in turn in each")
    parser.add_argument("--csv", type=Path, default=None, help="also put the rows into this table of speeds")


def _milliseconds(function: Callable[[], Any]) -> float:
    gc.collect()
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def _read(csv_file: Path) -> list[list[str]]:
    if not csv_file.exists():
        return []
    with csv_file.open(newline="") as file:
        return list(csv.reader(file))[1:]


def _written(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value
