"""How far a predicted embedding is from its target, and how far the best guess is that looks at nothing."""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

Distance: TypeAlias = Literal["cosine", "smooth_l1"]


def cell_distance(
    prediction: Float[Tensor, "cell embedding"], target: Float[Tensor, "cell embedding"], kind: Distance
) -> Float[Tensor, "cell"]:
    """1 - cosine of the angle, or the smooth L1 distance (beta 1) averaged over channels, of every cell."""
    if kind == "cosine":
        unit, unit_target = (nn.functional.normalize(x, dim=-1, eps=1e-6) for x in (prediction, target))
        return 1 - (unit * unit_target).sum(-1)
    return nn.functional.smooth_l1_loss(prediction, target, reduction="none").mean(-1)


@torch.no_grad()
def best_constant(target: Float[Tensor, "cell embedding"], kind: Distance) -> Float[Tensor, "embedding"]:
    """The one prediction for all cells with the least mean cosine distance: the mean direction of the targets.

    For smooth L1 it is the mean target, which has the least mean distance where targets lie within 1 of it.
    """
    if kind == "cosine":
        return nn.functional.normalize(target, dim=-1, eps=1e-6).mean(0)
    return target.mean(0)
