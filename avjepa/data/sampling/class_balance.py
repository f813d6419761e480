"""Keyframes in an order in which every class comes up equally often."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import BoxSummary
from avjepa.data.sampling.sampler import BatchOrder, permutation

_CLASS_STREAM, _FIRST_ITEM_STREAM = 2, 3  # random numbers apart from each other and from those of ``BatchOrder``


def items_by_class(boxes: BoxSummary) -> tuple[Int64[Array, "_"], ...]:
    """For each class that some moments hold: the positions of those that do, ascending.

    Boxes without LiDAR and radar points do not count: they are neither taught nor evaluated.
    """
    counts = (boxes.class_index >= 0) & boxes.with_points()
    classes = boxes.class_index[counts]
    return tuple(np.unique(boxes.item[counts][classes == one]) for one in np.unique(classes))


class ClassBalancedOrder(BatchOrder):
    """Each draw has a class, and takes a keyframe that holds it (class-balanced sampling: CBGS, 1908.09492).

    As many draws in a row as there are classes have each class once, in an order shuffled anew; the draws of one class
    go through its keyframes in shuffled epochs of their own. So no chance is left in how often a class is drawn, and a
    batch depends on nothing but the seed and its number, as in ``BatchOrder``. Keyframes without any object are never
    drawn.

    Args:
        items_of_class: positions in the dataset of the items that hold a class, for every class there is; at least one.
        items: number of items of the dataset, which is what an epoch is long.
        batch_size: items per process and batch.
        seed: of the order and of all draws.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        items_of_class: Sequence[Int64[Array, "_"]],
        items: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(items, batch_size, seed, rank, world_size)
        self.items_of_class = items_of_class

    def _index(self, place: int) -> int:
        """See ``BatchOrder``."""
        classes = len(self.items_of_class)
        turn, position = divmod(place, classes)
        chosen = int(permutation(classes, self.seed, turn, _CLASS_STREAM)[position])
        items = self.items_of_class[chosen]
        epoch, position = divmod(turn, len(items))
        return int(items[permutation(len(items), self.seed, epoch, _FIRST_ITEM_STREAM + chosen)[position]])
