"""The teacher's momentum and its update (Mean Teacher, 1703.01780; BYOL, 2006.07733)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from avjepa.ranges import require_number


@dataclass(frozen=True)
class Momentum:
    """Weight of the teacher's past at an optimiser step, a pure function of the step number.

    It knows nothing of the length of the training: lengthening one does not change the steps already planned, and
    a resumed run continues where it stopped.

    Args:
        start: momentum at step 0.
        end: momentum from step ``steps`` on; equal to ``start``, the momentum is constant (V-JEPA 2). I-JEPA goes
            from .996 to 1.
        steps: optimiser steps from ``start`` to ``end``.
        curve: how it goes from one to the other.
    """

    start: float = 0.996
    end: float = 0.996
    steps: int = 1
    curve: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        require_number("momentum.start", self.start, at_least=0, at_most=1)
        require_number("momentum.end", self.end, at_least=0, at_most=1)
        require_number("momentum.steps", self.steps, at_least=1)

    def at(self, step: int) -> float:
        """Momentum of the update that follows optimiser step number ``step`` (the first is 0)."""
        progress = min(max(step / self.steps, 0.0), 1.0)
        if self.curve == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.start + (self.end - self.start) * progress


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, momentum: float, step: int) -> None:
    """Move the teacher's parameters *and* buffers towards the student's.

    Running statistics start at values that mean nothing (mean 0, variance 1), so their momentum is warmed up,
    min(momentum, (1 + step) / (10 + step)): the teacher's normalisation is right after a few steps and not after
    1 / (1 - momentum). Integer buffers (counters) are copied.
    """
    _lerp(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
    theirs, ours = list(teacher.buffers()), list(student.buffers())
    running = [i for i, buffer in enumerate(theirs) if buffer.is_floating_point()]
    warm = min(momentum, (1 + step) / (10 + step))
    _lerp([theirs[i] for i in running], [ours[i] for i in running], 1 - warm)
    for mine, other in zip(theirs, ours, strict=True):
        if not mine.is_floating_point():
            mine.copy_(other)


def _lerp(moved: list[Tensor], towards: list[Tensor], share: float) -> None:
    if moved:
        torch._foreach_lerp_(moved, towards, share)  # one fused kernel for hundreds of tensors
