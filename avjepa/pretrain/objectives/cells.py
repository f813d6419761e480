"""From a number per cell to a loss, the same for every objective, and cells drawn as tokens."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

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
    """

    occupied: float = 0.75
    empty: float = 0.25
    visible: float = 0.5

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            require_number(f"weights.{name}", weight, at_least=0)
        if self.occupied + self.empty <= 0:
            raise UserError(f"weights: occupied and empty must not both be 0, got {self}")


def cell_loss(
    distance: Float[Tensor, "batch y x"],
    masked: Bool[Tensor, "batch y x"],
    occupied: Bool[Tensor, "batch y x"],
    weights: CellWeights,
    valid: Bool[Tensor, "batch y x"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Weighted terms by name, each the mean over samples of the mean over the sample's cells of one kind.

    A sample without cells of a kind adds 0 to that term. Cells that are not ``valid`` do not count.
    """
    terms = {}
    for seen, seen_weight, seen_name in ((masked, 1.0, "masked"), (~masked, weights.visible, "visible")):
        for kind, kind_weight, kind_name in (
            (occupied, weights.occupied, "occupied"),
            (~occupied, weights.empty, "empty"),
        ):
            if seen_weight * kind_weight > 0:
                cells = seen & kind if valid is None else seen & kind & valid
                terms[f"{seen_name}_{kind_name}"] = seen_weight * kind_weight * per_sample_mean(distance, cells).mean()
    return terms


def per_sample_mean(values: Float[Tensor, "batch y x"], cells: Bool[Tensor, "batch y x"]) -> Float[Tensor, "batch"]:
    """Mean of each sample's values over the marked cells, 0 where none is marked."""
    kept = torch.where(cells, values, 0.0)  # not a product: 0 · inf would be NaN
    return kept.sum((1, 2)) / cells.sum((1, 2)).clamp(min=1)


def loss_cells(
    masked: Bool[Tensor, "batch y x"],
    occupied: Bool[Tensor, "batch y x"],
    seeds: Int64[Tensor, "batch"],
    per_kind: int,
) -> Bool[Tensor, "batch y x"]:
    """At most ``per_kind`` cells of every sample and each of the four kinds that ``cell_loss`` averages over.

    Every kind is averaged over its own cells, so the mean over a draw of them is the same in expectation; and where
    nine cells in ten are empty, most of the work would go into the small weight of those.
    """
    kinds = torch.stack([seen & kind for seen in (masked, ~masked) for kind in (occupied, ~occupied)])
    chosen = np.zeros((len(masked), masked[0].numel()), dtype=bool)
    for kind in kinds.flatten(2).cpu().numpy():
        chosen[_drawn(kind, seeds.tolist(), per_kind)] = True
    return torch.from_numpy(chosen).view(masked.shape).to(masked.device, non_blocking=True)


def drawn_cells(
    cells: Bool[Tensor, "batch y x"], seeds: Int64[Tensor, "batch"], per_sample: int
) -> tuple[Int64[Tensor, "token"], Int64[Tensor, "token"], Int64[Tensor, "token"]]:
    """(sample, row, column) of at most ``per_sample`` of each sample's marked cells, drawn from the sample's seed."""
    owner, place = _drawn(cells.flatten(1).cpu().numpy(), seeds.tolist(), per_sample)
    index = torch.from_numpy(np.stack((owner, place // cells.shape[2], place % cells.shape[2])))
    sample, row, column = index.to(cells.device, non_blocking=True).unbind(0)
    return sample, row, column


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


def tokens_at(
    features: Float[Tensor, "batch channel y x"],
    index: tuple[Int64[Tensor, "token"], Int64[Tensor, "token"], Int64[Tensor, "token"]],
) -> Float[Tensor, "token channel"]:
    """The embeddings of drawn cells, one row each, in fp32."""
    sample, row, column = index
    tokens: Tensor = features.float()[sample, :, row, column]
    return tokens
