"""Keyframes in an order in which every class comes up equally often."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.schema import CLASSES
from avjepa.data.sampling.sampler import BatchOrder, permutation

_CLASS_STREAM, _FIRST_ITEM_STREAM = 2, 3  # random numbers apart from each other and from those of ``BatchOrder``


def items_by_class(
    index: DatasetIndex, annotations: AnnotationIndex, moments: Int64[Array, "item"]
) -> tuple[Int64[Array, "_"], ...]:
    """For each class that some of the keyframes hold: the positions in ``moments`` of those that do.

    Boxes without LiDAR and radar points do not count: they are neither taught nor evaluated.
    """
    counts = (annotations.class_index >= 0) & (annotations.lidar_points + annotations.radar_points > 0)
    found: list[list[int]] = [[] for _ in CLASSES]
    for item, sample in enumerate(index.record_sample[index.moment_record[moments]]):
        rows = annotations.of_sample(int(sample))
        own = slice(rows.start, rows.stop)
        for present in np.unique(annotations.class_index[own][counts[own]]):
            found[present].append(item)
    return tuple(np.array(items, np.int64) for items in found if items)


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

    Raises:
        UserError: there is no class.
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
