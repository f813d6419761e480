"""Which moments make up which batch: a function of the seed and the batch's number, so that any run can be resumed."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array


@dataclass(frozen=True)
class SampleRequest:
    """One item of a batch."""

    index: int
    """Position in the dataset."""
    seed: int
    """Random number of this draw, for augmentation and masks."""
    progress: float = 0.0
    """Share of the training's batches that come before this draw's."""


class BatchOrder:
    """An endless sequence of batches over shuffled epochs.

    The draws are numbered over the whole training: global batch k holds the draws k·G to (k + 1)·G - 1, where
    G = batch_size · world_size, and each process takes its own consecutive part. Draw d is place d mod N of a
    permutation of the N items that is shuffled anew for every epoch d div N. So a batch depends on nothing but the
    seed and its number, and N processes together see what one process with an N times larger batch would see.

    Args:
        items: number of items of the dataset.
        batch_size: items per process and batch.
        seed: of the order and of all draws.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(self, items: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.items = items
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size

    def batch(self, number: int) -> list[SampleRequest]:
        """This process's part of global batch ``number``."""
        first = (number * self.world_size + self.rank) * self.batch_size
        return [self._draw(place) for place in range(first, first + self.batch_size)]

    def batches_per_epoch(self) -> int:
        """Batches after which every item has been drawn at least once."""
        return -(-self.items // (self.batch_size * self.world_size))

    def _draw(self, place: int) -> SampleRequest:
        return SampleRequest(self._index(place), int(np.random.default_rng((self.seed, 1, place)).integers(2**63)))

    def _index(self, place: int) -> int:
        """Position in the dataset of a draw."""
        epoch, position = divmod(place, self.items)
        return int(permutation(self.items, self.seed, epoch)[position])


@lru_cache(maxsize=32)
def permutation(items: int, seed: int, epoch: int, stream: int = 0) -> Int64[Array, "item"]:
    """An order of ``items`` things; other streams give independent ones."""
    return np.random.default_rng((seed, stream, epoch)).permutation(items)
