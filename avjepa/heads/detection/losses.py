"""Losses of heatmap-based heads."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def gaussian_focal_loss(
    logits: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], alpha: float = 2.0, beta: float = 4.0
) -> Float[Tensor, ""]:
    """Penalty-reduced focal loss of a heatmap (CornerNet, Law and Deng 2018, equation 1), summed, not yet divided.

    Cells whose target is exactly 1 are positives with ``-(1 - p)^alpha log p``; all others are negatives with
    ``-(1 - target)^beta p^alpha log(1 - p)``. Computed in float32 or better and from the logits: a clamped
    sigmoid rounds to 0 or 1 in half precision.
    """
    logits = logits if logits.dtype.itemsize >= 4 else logits.float()
    target = target.to(logits.dtype)
    probability = logits.sigmoid()
    positive = (target == 1).to(logits.dtype)
    of_positives = positive * (1 - probability) ** alpha * F.logsigmoid(logits)
    of_negatives = (1 - target) ** beta * probability**alpha * F.logsigmoid(-logits)
    return -(of_positives + of_negatives).sum()
