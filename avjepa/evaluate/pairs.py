"""Pairs of rows of two tables that belong to one group, as arrays."""

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array


def expanded(
    first: Int64[Array, "item"], count: Int64[Array, "item"]
) -> tuple[Int64[Array, "pair"], Int64[Array, "pair"]]:
    """Every item beside each of its ``count`` places from ``first`` on: numbers of items, and places."""
    item = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(item)) + np.repeat(first - np.cumsum(count) + count, count)
    return item, place
