"""Measures of collapse: what a falling loss does not tell. Pure functions of embeddings.

A measure that cannot be taken, because there are too few cells, is ``None`` and never NaN: a radar may see a handful
of cells, or nothing.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from avjepa.pretrain.objectives.distance import Distance, best_constant, cell_distance
from avjepa.pretrain.objectives.objective import Embeddings

Measures = dict[str, float | None]


MEASURED_CELLS = 2048
"""A mean over so many cells is good to about 2 %, and takes a hundredth of the time of a whole map of a large grid."""


def cells_of(
    maps: Float[Tensor, "batch channel y x"], mask: Bool[Tensor, "batch y x"], limit: int = MEASURED_CELLS
) -> Float[Tensor, "cell channel"]:
    """Embeddings of the cells in ``mask``, in float32; a sample of ``limit`` cells where there are more.

    The sample depends on the number of cells alone: no global random number is drawn.
    """
    where = _at_most(mask.nonzero(), limit)
    batch, row, column = where.unbind(-1)
    cells: Tensor = maps[batch, :, row, column].float()
    return cells


def rows_of(
    rows: Float[Tensor, "cell channel"], kept: Bool[Tensor, "cell"], limit: int = MEASURED_CELLS
) -> Float[Tensor, "kept channel"]:
    """``cells_of`` for embeddings of some cells that lie in rows."""
    where = _at_most(kept.nonzero()[:, 0], limit)
    return rows[where].float()


def _at_most(where: Int64[Tensor, "cell *index"], limit: int) -> Int64[Tensor, "kept *index"]:
    if len(where) <= limit:
        return where
    order = torch.randperm(len(where), generator=torch.Generator().manual_seed(0))
    return where[order[:limit].sort().values.to(where.device)]


def spread(embeddings: Float[Tensor, "cell channel"]) -> float | None:
    """Standard deviation over cells of the L2-normalised embeddings, mean over channels; healthy is about 1/√channels.

    0 when all cells point the same way (SimSiam, 2011.10566, section 4.1). ``None`` for fewer than two cells.
    """
    if len(embeddings) < 2:
        return None
    return float(functional.normalize(embeddings, dim=-1).std(0, correction=0).mean())


def mean_cosine(embeddings: Float[Tensor, "cell channel"]) -> float | None:
    """Mean cosine over all pairs of different cells; 1 is collapse. ``None`` for fewer than two cells."""
    count = len(embeddings)
    if count < 2:
        return None
    unit = functional.normalize(embeddings.double(), dim=-1)
    # the sum over all pairs is the squared norm of the sum; embeddings with themselves are taken out
    pairs = unit.sum(0).square().sum() - unit.square().sum()
    return float(pairs / (count * (count - 1)))


def rank_me(features: Float[Tensor, "cell channel"], *, centred: bool) -> float | None:
    """Effective rank exp(-Σ p log p), p = σ / Σσ, with σ the singular values of the features (RankMe, 2210.02885).

    A common offset hides variation from the uncentred rank, and noise around a constant looks like full rank to the
    centred one: read both. It is at most the number of cells. 0 when nothing is left (all zero, or, centred, all
    equal); ``None`` for fewer than two cells.
    """
    if len(features) < 2:
        return None
    matrix = features.double()
    rounding = 1e-9 * matrix.norm()
    if centred:
        matrix = matrix - matrix.mean(0)
    # singular values are square roots of the Gram matrix's eigenvalues: channels² numbers instead of cells × channels
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    total = singular.sum()
    if total <= rounding:
        return 0.0
    share = singular / total
    return float(torch.exp(torch.special.entr(share).sum()))


def loss_vs_constant(
    prediction: Float[Tensor, "cell channel"], target: Float[Tensor, "cell channel"], distance: Distance
) -> float | None:
    """Loss of the predictions over that of the best constant, in the distance of the objective; ≥ 1: nothing learned.

    ``None`` for fewer than two cells, and when all targets are equal (point the same way, for the cosine), so that the
    constant is perfect.
    """
    if len(target) < 2:
        return None
    wanted = target.double()
    constant = best_constant(wanted, distance).expand_as(wanted)
    trivial = float(cell_distance(constant, wanted, distance).mean())
    if trivial < 1e-6:
        return None
    return float(cell_distance(prediction.double(), wanted, distance).mean()) / trivial


def _cell_kinds(embeddings: Embeddings) -> Iterator[tuple[str, Bool[Tensor, "batch y x"]]]:
    yield "occupied", embeddings.occupied
    yield "empty", ~embeddings.occupied


@torch.no_grad()
def collapse_measures(embeddings: Embeddings) -> Measures:
    """``ROLE_std_KIND`` and ``ROLE_cosine_KIND`` of context (visible cells), prediction and target (masked cells), and
    ``loss_vs_constant_KIND`` (masked cells), with KIND ``occupied`` or ``empty``.

    Measured where the roles meet the loss, on ``MEASURED_CELLS`` cells at most; an objective without predictions or
    targets has none of theirs.
    """
    measures: Measures = {}
    prediction, target, compared = embeddings.prediction, embeddings.target, embeddings.compared
    for kind, mask in _cell_kinds(embeddings):
        roles = {"context": cells_of(embeddings.context, mask & ~embeddings.masked)}
        if compared is not None:
            masked = (mask & embeddings.masked)[compared]
            roles |= {
                role: rows_of(rows, masked)
                for role, rows in (("prediction", prediction), ("target", target))
                if rows is not None
            }
        for role, cells in roles.items():
            measures[f"{role}_std_{kind}"] = spread(cells)
            measures[f"{role}_cosine_{kind}"] = mean_cosine(cells)
        if "prediction" in roles and "target" in roles:
            relative = loss_vs_constant(roles["prediction"], roles["target"], embeddings.distance)
            measures[f"loss_vs_constant_{kind}"] = relative
    return measures


class FeatureQueue:
    """The newest features of many batches, so that a rank can be measured where one batch has too few cells.

    Args:
        size: how many features it holds.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.features: Float[Tensor, "cell channel"] | None = None

    def push(self, cells: Float[Tensor, "cell channel"]) -> None:
        """Add features of one batch; the oldest ones leave."""
        kept = cells if self.features is None else torch.cat((self.features.to(cells), cells))
        self.features = kept[-self.size :].detach().clone()

    def rank(self, *, centred: bool) -> float | None:
        """``rank_me`` of the queue; ``None`` until it holds twice as many cells as channels, which bound the rank."""
        if self.features is None or len(self.features) < min(self.size, 2 * self.features.shape[1]):
            return None
        return rank_me(self.features, centred=centred)
