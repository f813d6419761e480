"""From a number per cell to a loss, the same for every objective, and cells drawn as tokens."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from avjepa.errors import UserError
from avjepa.ranges import require_number

_STREAM = 0x63656C6C  # keeps these random numbers apart from others drawn from the same seed


@dataclass(frozen=True)
class CellWeights:
    """How much each kind of cell counts. Every kind is averaged over its own cells first.

    Args:
        occupied: weight of occupied cells (.75 in AD-L-JEPA).
        empty: weight of empty cells (.25 there): they tell free space, and where a thing ends.
        visible: factor for visible cells. With a loss on hidden cells alone the visible ones become global registers
            and dense tasks suffer (V-JEPA 2.1, 2603.14482).
        changed: how often a cell counts among its kind that is occupied in the target and empty in the context, or the
            other way round: where something moves, if the target is of another time.
    """

    occupied: float = 0.75
    empty: float = 0.25
    visible: float = 0.5
    changed: float = 1.0

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            require_number(f"weights.{name}", weight, at_least=1 if name == "changed" else 0)
        if self.occupied + self.empty <= 0:
            raise UserError(f"weights: occupied and empty must not both be 0, got {self}")

    def counts(
        self, before: Bool[Tensor, "batch y x"], after: Bool[Tensor, "batch y x"]
    ) -> Float[Tensor, "batch y x"] | None:
        """How often cells count that were occupied before, in the context, and are after, in the target; ``None`` for
        once each."""
        return None if self.changed == 1 else torch.where(before ^ after, self.changed, 1.0)


@dataclass(frozen=True)
class LossCells:
    """The cells on which a loss is taken, in the order of a batch's flattened (batch, y, x) grid."""

    at: Int64[Tensor, "cell"]
    """Position in that grid."""
    sample: Int64[Tensor, "cell"]
    masked: Bool[Tensor, "cell"]
    occupied: Bool[Tensor, "cell"]
    counts: Float[Tensor, "cell"]
    """How often a cell counts among its kind."""
    batch_size: int

    def means(self, values: Float[Tensor, "cell"], kinds: Sequence[Bool[Tensor, "cell"]]) -> Float[Tensor, "kind"]:
        """Means over samples of the means over the sample's cells of a kind, 0 where it has none of the kind."""
        counted = torch.stack(tuple(kinds))
        samples = nn.functional.one_hot(self.sample, self.batch_size).to(values.dtype)
        total = torch.where(counted, values * self.counts, 0.0) @ samples  # not a product: 0 · inf would be NaN
        return (total / ((counted * self.counts).to(values.dtype) @ samples).clamp(min=1)).mean(1)


def cell_loss(distance: Float[Tensor, "cell"], cells: LossCells, weights: CellWeights) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms by name, each the mean over samples of the mean over the sample's cells of one kind.

    A sample without cells of a kind adds 0 to that term.
    """
    kinds = {
        f"{seen_name}_{kind_name}": (seen & kind, seen_weight * kind_weight)
        for seen, seen_weight, seen_name in (
            (cells.masked, 1.0, "masked"),
            (~cells.masked, weights.visible, "visible"),
        )
        for kind, kind_weight, kind_name in (
            (cells.occupied, weights.occupied, "occupied"),
            (~cells.occupied, weights.empty, "empty"),
        )
        if seen_weight * kind_weight > 0
    }
    means = cells.means(distance, [kind for kind, _ in kinds.values()])
    return {name: weight * mean for (name, (_, weight)), mean in zip(kinds.items(), means, strict=True)}


def loss_cells(
    masked: Bool[Tensor, "batch y x"],
    occupied: Bool[Tensor, "batch y x"],
    seeds: Int64[Tensor, "batch"],
    per_kind: int,
    valid: Bool[Tensor, "batch y x"] | None = None,
    counts: Float[Tensor, "batch y x"] | None = None,
) -> LossCells:
    """At most ``per_kind`` cells of every sample and each of the four kinds that ``cell_loss`` averages over.

    Every kind is averaged over its own cells, so the mean over a draw of them is the same in expectation; and where
    nine cells in ten are empty, most of the work would go into the small weight of those. Cells that are not ``valid``
    are not drawn; ``counts`` says how often a cell counts among its kind, once by default.
    """
    maps = torch.stack((masked, occupied, torch.ones_like(masked) if valid is None else valid))
    hidden, full, known = maps.flatten(2).cpu().numpy()
    chosen = np.zeros_like(hidden)
    for kind in (hidden & full, hidden & ~full, ~hidden & full, ~hidden & ~full):
        chosen[_drawn(kind & known, seeds.tolist(), per_kind)] = True
    sample, place = chosen.nonzero()
    columns = np.stack((sample * hidden.shape[1] + place, sample, hidden[chosen], full[chosen]))
    at, sample_of, is_masked, is_occupied = torch.from_numpy(columns).to(masked.device, non_blocking=True).unbind(0)
    how_often = torch.ones(len(at), device=at.device) if counts is None else counts.flatten()[at]
    return LossCells(at, sample_of, is_masked.bool(), is_occupied.bool(), how_often, len(masked))


def drawn_cells(
    cells: Bool[Tensor, "batch y x"], seeds: Int64[Tensor, "batch"], per_sample: int
) -> Int64[Tensor, "token"]:
    """Positions in the flattened grid of at most ``per_sample`` of each sample's marked cells, drawn from its seed."""
    sample, place = _drawn(cells.flatten(1).cpu().numpy(), seeds.tolist(), per_sample)
    return torch.from_numpy(sample * cells[0].numel() + place).to(cells.device, non_blocking=True)


def rows_at(
    features: Float[Tensor, "batch channel y x"], cells: Int64[Tensor, "token"]
) -> Float[Tensor, "token channel"]:
    """The features of some cells, given by their positions in the flattened (batch, y, x) grid."""
    return features.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, cells)


def _drawn(cells: NDArray[np.bool_], seeds: list[int], per_sample: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(sample, place) of at most ``per_sample`` of the marked cells of every sample, (sample, place) as well."""
    samples, places = [], []
    for sample, (marked, seed) in enumerate(zip(cells, seeds, strict=True)):
        found = np.flatnonzero(marked)
        if len(found) > per_sample:
            found = np.random.default_rng((seed % 2**64, _STREAM)).choice(found, per_sample, replace=False)
        places.append(found)
        samples.append(np.full(len(found), sample))
    return np.concatenate(samples), np.concatenate(places)
