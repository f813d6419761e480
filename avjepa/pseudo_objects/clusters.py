"""Points that stand close together."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import ndimage

from avjepa.data.arrays import Array


@dataclass(frozen=True)
class Clusters:
    """Connected components of a grid seen from above; cells that share an edge or a corner belong together.

    Args:
        origin: corner of the first cell (m).
        cell: side of a cell (m).
        numbers: of the cluster that covers a cell, from 0; -1 for an empty one.
    """

    origin: Float64[Array, "2"]
    cell: float
    numbers: Int64[Array, "x y"]

    @classmethod
    def of(cls, xy: Float64[Array, "point 2"], cell: float) -> "Clusters":
        """The clusters of some points.

        Args:
            xy: positions (m).
            cell: side of a cell (m): points further apart than 2.8 of it are never neighbours, nearer than one always.
        """
        if not len(xy):
            return cls(np.zeros(2), cell, np.full((1, 1), -1, np.int64))
        origin = xy.min(axis=0)
        place = np.floor((xy - origin) / cell).astype(np.int64)
        occupied = np.zeros(tuple(place.max(axis=0) + 1), bool)
        occupied[place[:, 0], place[:, 1]] = True
        numbers, _ = ndimage.label(occupied, structure=np.ones((3, 3), bool))
        return cls(origin, cell, numbers.astype(np.int64) - 1)

    def at(self, xy: Float64[Array, "point 2"]) -> Int64[Array, "point"]:
        """Number of the cluster whose cells each point lies in, -1 for none."""
        place = np.floor((xy - self.origin) / self.cell).astype(np.int64)
        inside = ((place >= 0) & (place < self.numbers.shape)).all(axis=1)
        place[~inside] = 0
        return np.where(inside, self.numbers[place[:, 0], place[:, 1]], -1)


def grouped(numbers: Int64[Array, "point"]) -> list[Int64[Array, "_"]]:
    """Rows of the points of every number that occurs, in order of the numbers; those below 0 are left out."""
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers[order], 0) :]
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


def column_top(heights: Float64[Array, "point"], step: float = 0.5) -> float:
    """Height of the highest of some points below which there is no empty storey but one at a time.

    What hangs over an object does not count to it, and a wall is as high as it is.

    Args:
        heights: above the ground (m); at least one.
        step: height of a storey (m).
    """
    storeys = np.unique(np.floor(heights / step).astype(np.int64))
    breaks = np.flatnonzero(np.diff(storeys) > 2)
    top = storeys[breaks[0]] if len(breaks) else storeys[-1]
    return float(heights[heights < (top + 1) * step].max())
