"""A linear probe that learns beside the encoder and never touches it."""

import torch
from jaxtyping import Bool, Float
from sklearn.metrics import average_precision_score
from torch import Tensor


def average_precision(scores: Float[Tensor, "cell"], positive: Bool[Tensor, "cell"]) -> float | None:
    """Area under the precision-recall curve: mean precision at each positive, cells in descending score.

    Cells with equal scores are taken together, so a constant score gives the share of positives. ``None`` unless there
    are positives and negatives, all of them with a finite score.
    """
    count = int(positive.sum())
    if count == 0 or count == len(positive) or not scores.isfinite().all():
        return None
    return float(average_precision_score(positive.cpu().numpy(), scores.double().cpu().numpy()))


class OccupancyProbe:
    """Ridge regression from the map at hidden cells to whether the full input occupies them.

    Label-free: what the mask hid is the answer. It is solved exactly from sums over past batches, of which older ones
    weigh less, so it needs no learning rate, draws no random number and follows the encoder as it changes. Each batch
    is scored before it is learnt from.

    Args:
        channels: of the map.
        forgetting: weight of the past at each batch.
        ridge: penalty as a share of the mean variance of a channel.
    """

    def __init__(self, channels: int, forgetting: float = 0.9, ridge: float = 1e-3) -> None:
        self.forgetting, self.ridge = forgetting, ridge
        self.sums = torch.zeros(channels + 2, channels + 2, dtype=torch.float64)
        """Discounted sum over cells of the outer product of (features, 1, answer); all of the probe's state."""

    def learn(self, features: Float[Tensor, "cell channel"], occupied: Bool[Tensor, "cell"]) -> float | None:
        """Average precision on these cells, then they are learnt; ``None`` if they are all alike."""
        cells = features.detach().double()
        score = average_precision(cells @ self._weights().to(cells.device), occupied)
        rows = torch.cat((cells, torch.ones_like(cells[:, :1]), occupied.double()[:, None]), dim=-1)
        self.sums = self.forgetting * self.sums + (rows.T @ rows).cpu()
        return score

    def _weights(self) -> Float[Tensor, "channel"]:
        cells = self.sums[-2, -2].clamp(min=1e-12)
        mean, moments = self.sums[-2] / cells, self.sums / cells
        inputs, answer = mean[:-2], mean[-1]
        covariance = moments[:-2, :-2] - torch.outer(inputs, inputs)
        penalty = self.ridge * covariance.diagonal().mean().clamp(min=1e-12)
        weights: Tensor = torch.linalg.solve(
            covariance + penalty * torch.eye(len(inputs)).double(), moments[:-2, -1] - inputs * answer
        )
        return weights
