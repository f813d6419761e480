"""The loss of re-identification: which box of another keyframe is this object, if it is there at all?"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class ClipObjects:
    """The objects of a batch that are learned from, sample after sample."""

    sample: Int64[Tensor, "object"]
    """Which sample of the batch an object is in; ascending."""
    class_index: Int64[Tensor, "object"]
    track_ids: Int64[Tensor, "object"]
    points: Int64[Tensor, "object"]
    """LiDAR and radar points in its box."""
    position: Float[Tensor, "object 2"]
    """In the world (m)."""


def hard_pairs(objects: ClipObjects, distance: float) -> Bool[Tensor, "object object"]:
    """Which pairs are easily mistaken for each other: numbers of points within a factor of two, and near in place.

    Args:
        objects: all of them.
        distance: what is near (m).
    """
    points = objects.points.clamp(min=1)
    alike = torch.maximum(points[:, None], points) <= 2 * torch.minimum(points[:, None], points)
    near: Tensor = (objects.position[:, None] - objects.position).square().sum(-1) <= distance**2
    return alike & near


def association_loss(
    embeddings: Float[Tensor, "object dimension"],
    objects: ClipObjects,
    comparable: Bool[Tensor, "sample sample"],
    temperature: float,
    new: Float[Tensor, ""],
    hard: Bool[Tensor, "object object"],
    hard_weight: float,
) -> dict[str, Float[Tensor, ""]]:
    """Cross-entropy over the boxes of an object's class in another keyframe, and "it is not among them".

    For an object i and a comparable keyframe m, the logit of a box k of the same class in m is
    ``cos(i, k) / temperature``, and that of "not among them" is ``new``. The denominator counts other objects'
    boxes ``hard_weight`` times where ``hard`` says so (InfoNCE, 1807.03748, with weighted negatives, 2010.04592).

    Args:
        embeddings: of length 1.
        objects: what they are of.
        comparable: which keyframes are of one clip and not the same moment.
        temperature: see above.
        new: logit of an object that is not there.
        hard: which pairs are hard negatives.
        hard_weight: how often such a one counts.

    Returns:
        ``found`` of objects that are there and ``new`` of those that are not: each the mean over samples of the sum
        over an object's pairs that are of this kind, divided by the number of all pairs in its sample. A sample
        without any pair has a loss of 0.
    """
    samples = len(comparable)
    with torch.autocast(embeddings.device.type, enabled=False):
        logits = embeddings.float() @ embeddings.float().T / temperature
        same_class = objects.class_index[:, None] == objects.class_index
        candidates = same_class & comparable[objects.sample][:, objects.sample]
        same = candidates & (objects.track_ids[:, None] == objects.track_ids)
        weights = torch.where(hard & ~same, hard_weight, 1.0) * candidates
        of_sample = torch.zeros(len(objects.sample), samples, device=logits.device)
        of_sample[torch.arange(len(objects.sample), device=logits.device), objects.sample] = 1.0
        # no exponent is above 0: a cosine is at most 1
        highest = new.float().detach().clamp(min=1 / temperature)
        total = (weights * (logits - highest).exp()) @ of_sample + (new.float() - highest).exp()
        asked = (candidates.float() @ of_sample) > 0
        there = (same.float() @ of_sample) > 0
        right = torch.where(there, (same * (logits - highest)) @ of_sample, new.float() - highest)
        losses = torch.where(asked, total.log() - right, 0.0)
        pairs = (asked.float().sum(1) @ of_sample).clamp(min=1)
        return {
            name: ((losses * kind).sum(1) @ of_sample / pairs).sum() / samples
            for name, kind in (("found", there), ("new", ~there))
        }
