"""Weights that fit a module exactly, or not at all."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avjepa.errors import UserError, counted


@dataclass(frozen=True)
class TensorCounts:
    """How the tensors of a file and those of a module fit together."""

    matched: int
    missing: int
    unexpected: int
    misshapen: int

    def __str__(self) -> str:
        return (
            f"{counted(self.matched, 'tensor')} matched, {self.missing} missing, {self.unexpected} unexpected, "
            f"{self.misshapen} misshapen"
        )


def state_hash(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters and buffers, non-persistent ones included.

    Equal before and after training for a module that was really frozen, running statistics included.
    """
    digest = hashlib.sha256()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> TensorCounts:
    """Copy tensors into a module: every one of them and nothing else, or none. Arguments and errors as below."""
    counts = require_fitting(module, tensors, source)
    module.load_state_dict(dict(tensors))
    return counts


def require_fitting(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> TensorCounts:
    """Raise unless tensors are those of a module: every one of them and nothing else.

    Args:
        module: has the names of its ``state_dict``.
        tensors: by name.
        source: what to call their origin in an error.

    Raises:
        UserError: a tensor is missing, unexpected or of another shape; the message names the first ones.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    shared = [name for name in wanted if name in tensors]
    misshapen = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in shared
        if tensors[name].shape != wanted[name].shape
    ]
    counts = TensorCounts(len(shared) - len(misshapen), len(missing), len(unexpected), len(misshapen))
    if differences := first_differences(missing, unexpected, misshapen):
        raise UserError(
            f"{source}: {counts} ({differences}); use weights of the same architecture, made by this version of avjepa"
        )
    return counts


def first_differences(missing: Sequence[str], unexpected: Sequence[str], misshapen: Sequence[str]) -> str:
    """In words, how many tensors are not as they should be, and the first ones' names; empty where all are."""
    wrong = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
    return "; ".join(
        f"{len(names)} {word}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for word, names in wrong.items()
        if names
    )
