"""Batches of clips: several keyframes of one scene side by side, for heads that learn what stays the same over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.sampling.sampler import BatchOrder
from avjepa.ranges import require_number

_MICROSECONDS = 1e6
_STREAM = 0xC11  # random numbers apart from those of the other orders


@dataclass(frozen=True)
class Clips:
    """How keyframes are drawn together.

    Args:
        length: keyframes of a clip; the batch size is a multiple of it.
        seconds: the furthest that another keyframe of a clip lies from its first one.
    """

    length: int = 4
    seconds: float = 10.0

    def __post_init__(self) -> None:
        require_number("data.clips.length", self.length, at_least=2)
        require_number("data.clips.seconds", self.seconds, above=0)


class ClipOrder(BatchOrder):
    """As many draws in a row as a clip is long are of one scene.

    The first draw of a clip goes through all items in shuffled epochs, as in ``BatchOrder``. The others are items of
    its scene that lie near in time, each once before any comes again; in a scene of one keyframe it is drawn over and
    over. So a clip lies within a batch of one process, and depends on nothing but the seed and its number.

    Args:
        scenes: of every item, in the order of the dataset.
        times: of every item, microseconds.
        clips: length and extent.
        batch_size: items per process and batch, a multiple of the length.
        seed: of the order and of all draws.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        scenes: Sequence[str],
        times: Int64[Array, "item"],
        clips: Clips,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(len(scenes), batch_size, seed, rank, world_size)
        self.scene = np.unique(np.array(scenes), return_inverse=True)[1]
        self.times, self.clips = times, clips

    def _index(self, place: int) -> int:
        """See ``BatchOrder``."""
        clip, position = divmod(place, self.clips.length)
        first = super()._index(clip)
        if position == 0:
            return first
        apart = np.abs(self.times - self.times[first]) / _MICROSECONDS
        near = ((self.scene == self.scene[first]) & (apart <= self.clips.seconds)).nonzero()[0]
        others = near[near != first]
        if not len(others):
            return first
        turn, position = divmod(position - 1, len(others))
        return int(others[np.random.default_rng((self.seed, _STREAM, clip, turn)).permutation(len(others))[position]])
