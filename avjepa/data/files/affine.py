"""Affine maps of all columns of many points, in single precision, into one cloud."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from avjepa.data.arrays import Array

_ROWS = 64
"""Points that an offset is added to at once: an inner loop over a handful of columns is several times as slow."""
_MARGIN = 1.15
"""A cloud is expected to have at most so many times the points of the one before it."""


@dataclass(frozen=True)
class Affine:
    """``points @ columns + offset``."""

    columns: Float32[Array, "field column"]
    offset: Float32[Array, "column"]

    def write(self, points: Float32[Array, "point field"], out: Float32[Array, "point column"]) -> None:
        """Write the mapped points to rows that lie one after the other in memory.

        numpy's product, because torch's takes seven times as long where there is only a handful of columns.
        """
        np.matmul(points, self.columns, out=out)
        whole = len(out) // _ROWS * _ROWS
        blocks = out[:whole].reshape(-1, _ROWS * len(self.offset))
        np.add(blocks, np.tile(self.offset, _ROWS), out=blocks)
        np.add(out[whole:], self.offset, out=out[whole:])


class MergedCloud:
    """Clouds one after the other in one piece of memory.

    Each is read, mapped and forgotten before the next: memory that was just used is in the processor's cache, and
    memory that is new to a process costs more time than all that is done with the points.

    Args:
        columns: of a point.
        clouds: how many there will be.
    """

    def __init__(self, columns: int, clouds: int) -> None:
        self._rows: Float32[Array, "row column"] = np.empty((0, columns), np.float32)
        self._points = 0
        self._expected = clouds

    def add(self, points: Float32[Array, "point field"], affine: Affine) -> slice:
        """Map a cloud, and put it behind those that are there; its rows."""
        own = slice(self._points, self._points + len(points))
        if own.stop > len(self._rows):
            room = own.stop + int(_MARGIN * len(points) * max(self._expected - 1, 0))
            rows = np.empty((room, self._rows.shape[1]), np.float32)
            rows[: self._points] = self._rows[: self._points]
            self._rows = rows
        affine.write(points, self._rows[own])
        self._points = own.stop
        self._expected -= 1
        return own

    def points(self) -> Float[Tensor, "point column"]:
        """All of them."""
        return torch.from_numpy(self._rows[: self._points])
