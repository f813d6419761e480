"""The loss of a map of yes-or-no cells."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def segmentation_loss(
    logits: Float[Tensor, "batch class y x"],
    present: Bool[Tensor, "batch class y x"],
    known: Bool[Tensor, "batch class y x"],
    positive_weight: float,
    focal_gamma: float,
) -> Float[Tensor, "class"]:
    """Binary cross-entropy per class: mean over the known cells of a sample, then over the samples.

    Cells that are of a class count ``positive_weight`` times (Lift, Splat, Shoot: 2.13). With a ``focal_gamma`` above
    zero every cell counts ``(1 - p)^gamma``, where p is the probability of its right answer (Lin et al. 2017, equation
    4; cross-view transformers: 2). Computed in float32 or better. A sample of which nothing is known counts as zero.
    """
    logits = logits if logits.dtype.itemsize >= 4 else logits.float()
    target = present.to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if focal_gamma:
        entropy = (1 - torch.exp(-entropy)) ** focal_gamma * entropy
    weighed = torch.where(known, entropy * (1 + (positive_weight - 1) * target), 0.0)
    per_sample: Tensor = weighed.sum((2, 3)) / known.sum((2, 3)).clamp(min=1)
    return per_sample.mean(0)
