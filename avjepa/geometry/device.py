"""What keeps a GPU from being waited for: constants that lie there already, counts of a known size."""

from functools import cache

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor


@cache
def constant(values: tuple[int | float, ...], dtype: torch.dtype, device: torch.device) -> Shaped[Tensor, "_"]:
    """The numbers as a tensor on the device, copied there once in a process. Not to be written to."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def occurrences(index: Int64[Tensor, "_"], size: int) -> Int64[Tensor, "size"]:
    """How often every number below ``size`` occurs; ``torch.bincount``, which looks at the numbers on a GPU first."""
    if not index.is_cuda:
        return torch.bincount(index, minlength=size)
    return torch.zeros(size, dtype=torch.int64, device=index.device).index_add_(0, index, torch.ones_like(index))
