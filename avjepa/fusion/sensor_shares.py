"""How much of each sensor a context is shown."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array

_STREAM = 0x667573696F6E  # keeps these draws apart from others that use the same seeds
_LEAST = 0.1


def kept_shares(
    seeds: Sequence[int], sensors: int, share: float, concentration: float
) -> Float64[Array, "sample sensor"]:
    """Share of every sensor's raw input that each sample keeps; 0 where the whole sensor is dropped.

    The shares follow a Dirichlet draw whose mean is ``share`` for every sensor. What would keep less than a tenth is
    dropped as a whole; a draw never drops everything. (After MultiMAE, 2204.01678, section 3.2, which draws the numbers
    of visible tokens of several modalities so.)

    Args:
        seeds: one random number per sample, of which its draw is a function.
        sensors: their number.
        share: mean over sensors of what is kept, before shares above 1 are cut.
        concentration: of the Dirichlet distribution: the smaller, the more often one sensor alone is left.
    """
    kept = np.zeros((len(seeds), sensors))
    for row, seed in zip(kept, seeds, strict=True):
        random = np.random.default_rng((seed % 2**64, _STREAM))
        drawn = random.dirichlet(np.full(sensors, concentration)) * sensors * share
        row[:] = np.where(drawn < _LEAST, 0.0, np.minimum(drawn, 1.0))
        if not row.any():
            row[drawn.argmax()] = share
    return kept
