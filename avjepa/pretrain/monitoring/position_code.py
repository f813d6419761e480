"""A collapse that loss, spread and rank miss: the target says where a cell is, and nothing of what lies in it.

Predictions of such a target are good: they need not look at the input. What gives it away is that the prediction fits
the target of another sample in the same cell as well as its own.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from avjepa.pretrain.monitoring.diagnostics import MEASURED_CELLS, Measures
from avjepa.pretrain.objectives.distance import cell_distance
from avjepa.pretrain.objectives.objective import Embeddings

OWN, OTHER, CELL_MEAN = "target_cosine_own", "target_cosine_other_sample", "loss_vs_cell_mean"


class PositionCode:
    """Compares predictions with targets of other samples in the same cell, and with the mean target of each cell.

    Args:
        fewest: targets of a cell that its mean is taken over, at least, before anything is compared with it.
        most: targets that the mean remembers: a running mean from then on, since a moving target changes.
    """

    def __init__(self, fewest: int = 4, most: int = 50) -> None:
        self.fewest, self.most = fewest, most
        self.means: Float[Tensor, "cell channel"] | None = None
        self.counts: Int64[Tensor, cell] | None = None

    @torch.no_grad()
    def measured(self, embeddings: Embeddings) -> Measures:
        """``target_cosine_own`` and ``target_cosine_other_sample``: mean cosine of the predictions of hidden, occupied
        cells with their own target and with that of another sample in the same cell; ``loss_vs_cell_mean``: their loss
        over that of predicting the mean target of the cell, as known before this batch.

        Each is ``None`` where there are no cells to compare, all of them for an objective without targets.
        """
        measures: Measures = dict.fromkeys((OWN, OTHER, CELL_MEAN))
        compared, prediction, target = embeddings.compared, embeddings.prediction, embeddings.target
        if compared is None or prediction is None or target is None or not len(compared):
            return measures
        batch = len(compared)
        row_of = torch.full((batch, compared[0].numel()), -1, dtype=torch.long, device=compared.device)
        row_of[compared.flatten(1)] = torch.arange(len(target), device=compared.device)
        counted = (embeddings.occupied & embeddings.masked & compared).flatten(1)
        there = counted & (row_of >= 0) & (row_of.roll(1, 0) >= 0)
        own, other = (rows[there][:MEASURED_CELLS] for rows in (row_of, row_of.roll(1, 0)))
        if batch > 1 and len(own) > 1:
            predicted = prediction[own].float()
            for name, rows in ((OWN, own), (OTHER, other)):
                measures[name] = float(functional.cosine_similarity(predicted, target[rows].float(), dim=1).mean())
        if self.means is None or self.counts is None:
            self.means = target.new_zeros((row_of.shape[1], target.shape[1]), dtype=torch.float32)
            self.counts = torch.zeros(row_of.shape[1], dtype=torch.long)
        self.means, self.counts = self.means.to(compared.device), self.counts.to(compared.device)
        cell = torch.arange(row_of.shape[1], device=compared.device).expand_as(row_of)
        measures[CELL_MEAN] = self._against_means(embeddings, cell[counted], row_of[counted])
        self._learn(cell[counted], target[row_of[counted]].float())
        return measures

    def _against_means(
        self, embeddings: Embeddings, cells: Int64[Tensor, "row"], rows: Int64[Tensor, "row"]
    ) -> float | None:
        assert self.means is not None and self.counts is not None
        assert embeddings.prediction is not None and embeddings.target is not None
        known = (self.counts[cells] >= self.fewest).nonzero()[:MEASURED_CELLS, 0]
        if len(known) < 2:
            return None
        wanted, predicted = (x[rows[known]].float() for x in (embeddings.target, embeddings.prediction))
        trivial = float(cell_distance(self.means[cells[known]], wanted, embeddings.distance).mean())
        learned = float(cell_distance(predicted, wanted, embeddings.distance).mean())
        return None if trivial < 1e-6 else learned / trivial

    def _learn(self, cells: Int64[Tensor, "row"], targets: Float[Tensor, "row channel"]) -> None:
        """Move the means of some cells towards their targets; a cell that comes several times counts as often."""
        assert self.means is not None and self.counts is not None
        new = torch.bincount(cells, minlength=len(self.counts))
        sums = torch.zeros_like(self.means).index_add_(0, cells, targets)
        before = self.counts.clamp(max=self.most)
        total = (before + new).clamp(min=1)
        self.means = torch.where(new[:, None] > 0, (self.means * before[:, None] + sums) / total[:, None], self.means)
        self.counts = self.counts + new

    def state(self) -> dict[str, Tensor | None]:
        """What a resumed run needs."""
        return {"means": self.means, "counts": self.counts}

    def restore(self, state: dict[str, Tensor | None]) -> None:
        """See ``state``."""
        self.means, self.counts = state["means"], state["counts"]
