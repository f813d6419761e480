"""A mask of the ground, as map makers give it: which pixels of a raster in the global frame can be driven on."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from PIL import Image
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.geometry.grid import BEVGrid

UNKNOWN = 255
"""Value of a cell of which no map tells."""
_FOREGROUND = 255
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class MapMask:
    """A raster of zeros and ones, kept as the places where it changes: a city at 10 cm takes some megabytes.

    Conventions are those of the devkit's ``MapMask``: the raster's lower left corner is the origin of the global frame,
    or ``corner``, its first row is the largest y, and a coordinate belongs to the pixel that it rounds to.
    """

    rows: int
    columns: int
    changes: Int64[Array, "change"]
    """Ascending: pixels, counted row by row, whose value differs from that of the one before; before the first is 0."""
    resolution: float = 0.1
    """Side of a pixel, m."""
    corner: tuple[float, float] = (0.0, 0.0)
    """Where the lower left corner is in the global frame, m."""

    @classmethod
    def of_image(cls, image: Image.Image) -> "MapMask":
        """The mask of an image whose foreground is 255. It is decoded once and looked at in bands of rows."""
        columns, rows = image.size
        parts, last = [], False
        for top in range(0, rows, _ROWS_AT_ONCE):
            band = image.crop((0, top, columns, min(rows, top + _ROWS_AT_ONCE))).convert("L")
            values = np.asarray(band).reshape(-1) == _FOREGROUND
            parts.append(np.flatnonzero(np.diff(values, prepend=last)) + top * columns)
            last = bool(values[-1])
        return cls(rows, columns, np.concatenate(parts).astype(np.int64))

    def at(self, xy: Float64[Array, "*place 2"]) -> UInt8[Array, "*place"]:
        """1 where places of the global frame (m) lie on the mask, 0 where not, ``UNKNOWN`` outside of the raster."""
        per_metre = 1.0 / self.resolution
        x, y = (xy[..., axis] - self.corner[axis] for axis in (0, 1))
        column, row = np.rint(x * per_metre), np.rint(self.rows - y * per_metre)
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        pixel = np.where(inside, row * self.columns + column, 0).astype(np.int64)
        value = np.searchsorted(self.changes, pixel, side="right") % 2
        result: Array = np.where(inside, value, UNKNOWN).astype(np.uint8)
        return result

    def on_grid(self, grid: BEVGrid, global_from_bev: Float64[Tensor, "4 4"]) -> UInt8[Tensor, "y x"]:
        """The mask at the centre of every cell of a BEV frame, which is level: values as of ``at``."""
        centres = grid.centres().double()
        xy = centres @ global_from_bev[:2, :2].T + global_from_bev[:2, 3]
        return torch.from_numpy(self.at(xy.numpy()))
