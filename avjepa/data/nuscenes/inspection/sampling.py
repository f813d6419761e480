"""Which of many records a check looks at: always the same ones."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array


def spread(count: int, at_most: int | None) -> Int64[Array, "chosen"]:
    """Positions of at most so many of ``count`` things, evenly over all of them; every one for ``None``."""
    if at_most is None or count <= at_most:
        return np.arange(count)
    positions: Array = np.linspace(0, count - 1, at_most).astype(np.int64)
    return positions


def share(holds: Sequence[bool] | Array) -> float:
    """The share of things that something holds for; 0 for nothing."""
    return float(np.mean(holds)) if len(holds) else 0.0
