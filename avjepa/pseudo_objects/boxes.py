"""Upright boxes around points of which the sensor sees one side."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array

_STEP = 2.0  # degrees between two headings that are tried
_NEAREST = 0.05  # m: what is nearer to an edge counts as if it were so far
_THINNED = 0.1  # m: of points closer together than this one is enough


@dataclass(frozen=True)
class Rectangle:
    """A rectangle seen from above.

    Args:
        yaw: direction of its first side (rad).
        low: of its points along the first side and across it, in the frame turned by ``yaw`` (m).
        high: as ``low``.
        distance: mean distance of the points from the nearest edge (m): small where they are seen from outside.
    """

    yaw: float
    low: Float64[Array, "2"]
    high: Float64[Array, "2"]
    distance: float

    @property
    def size(self) -> Float64[Array, "2"]:
        """Along the first side and across it (m)."""
        return self.high - self.low

    @property
    def centre(self) -> Float64[Array, "2"]:
        """Where its middle is (m)."""
        return turned((self.low + self.high) / 2, -self.yaw)

    def quarter_turn(self) -> "Rectangle":
        """The same rectangle, whose second side is named first."""
        low = np.array([self.low[1], -self.high[0]])
        high = np.array([self.high[1], -self.low[0]])
        return Rectangle(self.yaw + np.pi / 2, low, high, self.distance)

    def grown(self, size: Float64[Array, "2"], sensor: Float64[Array, "2"]) -> "Rectangle":
        """One that is at least of a size; it grows away from the sensor, which sees the near sides where they are.

        A side that faces neither way, as the sensor looks along it, grows on both ends.
        """
        missing = np.maximum(size - self.size, 0.0)
        seen_from = turned(sensor, self.yaw)
        share = np.where(seen_from < self.low, 1.0, np.where(seen_from > self.high, 0.0, 0.5))
        return Rectangle(self.yaw, self.low - (1 - share) * missing, self.high + share * missing, self.distance)


def turned(xy: Float64[Array, "*point 2"], yaw: float) -> Float64[Array, "*point 2"]:
    """Points in a frame that is turned by a yaw (rad)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.asarray(xy @ np.array([[cos, -sin], [sin, cos]]))


def rectangle_along(xy: Float64[Array, "point 2"], yaw: float) -> Rectangle:
    """The smallest rectangle of a given direction around some points.

    Args:
        xy: at least one (m).
        yaw: direction of the first side (rad).
    """
    local = turned(xy, yaw)
    low, high = local.min(axis=0), local.max(axis=0)
    return Rectangle(yaw, low, high, float(np.minimum(local - low, high - local).min(axis=1).mean()))


def fitted_rectangle(xy: Float64[Array, "point 2"]) -> Rectangle:
    """The rectangle whose edges the points are closest to; its first side is the longer one.

    The closeness criterion of Zhang et al. 2017, "Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners"
    (algorithm 4): of all directions, that of the largest sum of inverse distances from the nearest edges.

    Args:
        xy: at least one (m).
    """
    _, kept = np.unique(np.floor(xy / _THINNED).astype(np.int64), axis=0, return_index=True)
    thin = xy[np.sort(kept)]
    yaws = np.deg2rad(np.arange(0.0, 90.0, _STEP))
    cos, sin = np.cos(yaws), np.sin(yaws)
    along = thin[:, :1] * cos + thin[:, 1:] * sin
    across = thin[:, 1:] * cos - thin[:, :1] * sin
    edges = [np.minimum(one - one.min(axis=0), one.max(axis=0) - one) for one in (along, across)]
    closeness = (1 / np.maximum(np.minimum(*edges), _NEAREST)).sum(axis=0)
    found = rectangle_along(xy, float(yaws[int(closeness.argmax())]))
    return found if found.size[0] >= found.size[1] else found.quarter_turn()
