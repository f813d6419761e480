"""A linear probe that learns beside the encoder and never touches it."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional


def average_precision(scores: Float[Tensor, "cell"], positive: Bool[Tensor, "cell"]) -> float | None:
    """Area under the precision-recall curve: mean precision at each positive, cells in descending score.

    Cells with equal scores are taken together, so a constant score gives the share of positives. ``None`` unless there
    are positives and negatives.
    """
    count = int(positive.sum())
    if count == 0 or count == len(positive):
        return None
    ordered, order = scores.double().sort(descending=True)
    hits = positive[order].double().cumsum(0)
    last = torch.cat((ordered[1:] != ordered[:-1], ordered.new_ones(1, dtype=torch.bool)))  # of each run of ties
    found = hits[last]
    seen = torch.arange(1, len(ordered) + 1, device=scores.device)[last]
    gained = torch.diff(found, prepend=found.new_zeros(1))
    return float((gained * found / seen).sum() / count)


class OccupancyProbe(nn.Module):
    """Logistic regression from the map at hidden cells to whether the full input occupies them.

    Label-free: what the mask hid is the answer. Each batch is scored before it is learnt from. Starts from zero and
    draws no random numbers.

    Args:
        channels: of the map.
        learning_rate: of Adam.
    """

    def __init__(self, channels: int, learning_rate: float = 0.01) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(()))
        self.optimiser = torch.optim.Adam(self.parameters(), lr=learning_rate)

    def learn(self, features: Float[Tensor, "cell channel"], occupied: Bool[Tensor, "cell"]) -> float | None:
        """Average precision on these cells, then one step on them; ``None`` if they are all alike."""
        unit = functional.layer_norm(features.detach().float(), features.shape[-1:])
        logits = unit @ self.weight + self.bias
        if len(occupied):
            self.optimiser.zero_grad()
            torch.autograd.backward(functional.binary_cross_entropy_with_logits(logits, occupied.float()))
            self.optimiser.step()
        return average_precision(logits.detach(), occupied)

    def state(self) -> dict[str, Any]:
        """Weights and optimiser, for a checkpoint."""
        return {"weights": self.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore ``state`` onto the probe's device."""
        self.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
