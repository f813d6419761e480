"""The ground below a scene's points, slopes included."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import ndimage

from avjepa.data.arrays import Array

CELL = 1.0
"""Metres: side of the cells of which the ground is made."""
STEEPEST = 0.2
"""Rise over run that a street may have; what rises faster stands on it."""
_LOW = 0.05  # quantile of a cell's heights that is its lowest: a few reflections come from below the ground
_FLAT, _OVERHEAD, _SHARE = 0.3, 2.5, 0.6  # m, m: a cell is flat if this share of what is below 2.5 m lies within .3 m
_FEWEST = 3  # points of a cell of the ground
_HOLE = 0.75  # m below its surroundings: no ground but a reflection
_ROUGH = 0.25  # m above what its surroundings allow
_REACH = 30  # cells that a rise is followed
_MILLIMETRES = 1000
_HIGHEST = 1 << 20  # mm that a height may have within a scene


@dataclass(frozen=True)
class Ground:
    """Height of the ground on a grid.

    Args:
        origin: corner of the first cell (m).
        surface: height of the ground in the middle of every cell (m).
    """

    origin: Float64[Array, "2"]
    surface: Float64[Array, "x y"]

    def heights(self, points: Float64[Array, "point 3"]) -> Float64[Array, "point"]:
        """Heights of points above the ground below them (m), which is interpolated between the cells."""
        place = (points[:, :2] - self.origin) / CELL - 0.5
        below = ndimage.map_coordinates(self.surface, place.T, order=1, mode="nearest")
        return np.asarray(points[:, 2] - below)


def fit_ground(points: Float64[Array, "point 3"]) -> Ground:
    """The ground of a scene, from the points of all its sweeps.

    A cell's lowest points are ground if the cell is flat, but for what hangs over it, and if the street would not have
    to be steeper than ``STEEPEST`` on the way from its surroundings: a slope is ground, a bonnet is not. Cells without
    ground take it from the nearest one. (After the progressive filters of airborne laser scanning: Zhang et al. 2003,
    "A Progressive Morphological Filter for Removing Nonground Measurements".)

    Args:
        points: in an upright frame at rest (m); at least one.
    """
    origin = np.floor(points[:, :2].min(axis=0) / CELL) * CELL
    shape = np.floor((points[:, :2].max(axis=0) - origin) / CELL).astype(np.int64) + 1
    lowest, flat = _lowest(points, origin, shape)
    ground = _even(lowest, flat)
    if not ground.any():
        return Ground(origin, np.full(tuple(shape), points[:, 2].min()))
    nearest = ndimage.distance_transform_edt(~ground, return_distances=False, return_indices=True)
    surface = ndimage.gaussian_filter(lowest[tuple(nearest)], 1.0, mode="nearest")
    return Ground(origin, surface)


def _lowest(
    points: Float64[Array, "point 3"], origin: Float64[Array, "2"], shape: Int64[Array, "2"]
) -> tuple[Float64[Array, "x y"], Bool[Array, "x y"]]:
    """The lowest height in every cell, and which cells are flat."""
    base = points[:, 2].min()
    place = np.floor((points[:, :2] - origin) / CELL).astype(np.int64)
    cell = place[:, 0] * shape[1] + place[:, 1]
    height = np.minimum((points[:, 2] - base) * _MILLIMETRES, _HIGHEST - 1).astype(np.int64)
    keys = np.sort(cell * _HIGHEST + height)
    cells, first, count = np.unique(keys // _HIGHEST, return_index=True, return_counts=True)
    low = keys[first + (count * _LOW).astype(np.int64)]

    def up_to(metres: float) -> Int64[Array, "cell"]:
        top = np.minimum(low + int(metres * _MILLIMETRES), (cells + 1) * _HIGHEST - 1)
        return np.asarray(np.searchsorted(keys, top, side="right") - first)

    within = up_to(_FLAT)
    lowest, flat = np.full(int(shape.prod()), np.inf), np.zeros(int(shape.prod()), bool)
    lowest[cells] = base + (low % _HIGHEST) / _MILLIMETRES
    flat[cells] = (within >= _SHARE * up_to(_OVERHEAD)) & (within >= _FEWEST)
    return lowest.reshape(tuple(shape)), flat.reshape(tuple(shape))


def _even(lowest: Float64[Array, "x y"], flat: Bool[Array, "x y"]) -> Bool[Array, "x y"]:
    """The flat cells that are no holes and that a street may rise to from all others."""
    known = np.where(flat, lowest, 0.0)
    weight = ndimage.uniform_filter(flat.astype(np.float64), 7, mode="constant")
    around = ndimage.uniform_filter(known, 7, mode="constant") / np.maximum(weight, 1e-9)
    flat = flat & (lowest > around - _HOLE)
    reached = np.where(flat, lowest, np.inf)
    straight, diagonal = STEEPEST * CELL, STEEPEST * CELL * 2**0.5
    rise = np.array([[diagonal, straight, diagonal], [straight, 0.0, straight], [diagonal, straight, diagonal]])
    for _ in range(_REACH):
        lower = ndimage.grey_erosion(reached, structure=-rise, mode="constant", cval=np.inf)
        if np.array_equal(lower, reached):
            break
        reached = lower
    return np.asarray(flat & (lowest <= reached + _ROUGH))
