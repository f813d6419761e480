"""Sums over the processes that train together: one call each, whatever their number.

Every process must make the same calls in the same order, also one that holds no data.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

_by_itself = False


def world_size() -> int:
    """Number of processes that train together; 1 within ``by_itself``."""
    together = dist.is_available() and dist.is_initialized() and not _by_itself
    return dist.get_world_size() if together else 1


@contextlib.contextmanager
def by_itself() -> Iterator[None]:
    """Within the block nothing is exchanged: for work of which processes have different amounts, as a validation."""
    global _by_itself
    _by_itself = True
    try:
        yield
    finally:
        _by_itself = False


def summed(value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Sum over the processes, differentiable. Sums, not averages: gloo has no average.

    The in-place ``torch.distributed.all_reduce`` knows no gradient: with W processes it leaves 1/W of it. Here the
    backward pass is a sum over processes too, so that the average which DDP takes of the processes' gradients is the
    gradient of the one global statistic.
    """
    if world_size() == 1:
        return value
    total: Tensor = all_reduce(value, op=dist.ReduceOp.SUM)  # type: ignore[no-untyped-call]
    return total


def global_count(rows: Float[Tensor, "row _"]) -> Float[Tensor, ""]:
    """Number of rows that all processes hold together."""
    return summed(torch.tensor(float(rows.shape[0]), device=rows.device))


def moments(rows: Float[Tensor, "row channel"]) -> tuple[Float[Tensor, "channel"], Float[Tensor, "channel"]]:
    """Mean and (biased) variance of every channel over the rows of all processes; zeros if nobody has a row.

    Two passes, because the difference of large squares loses the digits that a variance near collapse needs.
    """
    count = global_count(rows).clamp(min=1)
    mean = summed(rows.sum(0)) / count
    variance = summed((rows - mean).square().sum(0)) / count
    return mean, variance


def objects_per_process(count: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What a sum over this process's objects is divided by, so that the mean over processes, which DDP takes, is the
    sum over all objects divided by their number: the objects of all processes, at least one, over the processes.
    """
    return summed(count).clamp(min=1) / world_size()


@torch.no_grad()
def means_over_processes(terms: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
    """The mean of every term over the processes, without gradient, in one exchange."""
    if world_size() == 1 or not terms:
        return {name: term.detach() for name, term in terms.items()}
    means = summed(torch.stack([term.detach().float() for term in terms.values()])) / world_size()
    return dict(zip(terms, means.unbind(), strict=True))


def in_turn_on_first(lines: Iterable[str], number: int) -> Iterator[str]:
    """Yields, on the first process, the lines of all processes in turn: the first of each, the second of each, and so
    on; nothing on the others. No process needs to hold more than one line of each. To be run to its end on all.

    Args:
        lines: of this process; others may have more or fewer, or none.
        number: of them.
    """
    if world_size() == 1:
        yield from lines
        return
    numbers: list[int] = [0] * world_size()
    dist.all_gather_object(numbers, number)
    own, first = iter(lines), dist.get_rank() == 0
    for _ in range(max(numbers)):
        received: list[str | None] | None = [None] * world_size() if first else None
        dist.gather_object(next(own, None), received)
        yield from (line for line in received or () if line is not None)
