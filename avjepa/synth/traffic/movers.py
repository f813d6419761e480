"""What moves near a sensor, and rays against it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import FloatArray
from avjepa.synth.bodies.gallery import Gallery
from avjepa.synth.sensors.hits import Hits, dot

BOX_EDGES = np.array([(corner, corner | bit) for bit in (1, 2, 4) for corner in range(8) if not corner & bit])
"""(12, 2), pairs of the corners of a box in ``Movers.corners``."""


Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Mover (pair,) and ray (pair,), as indices."""


@dataclass(frozen=True)
class Movers:
    """What moves within a sensor's reach, at one time."""

    gallery: Gallery
    shape: NDArray[np.int64]
    """(mover,), index into the gallery."""
    first_face: NDArray[np.int64]
    """(mover,), index into ``Surfaces``."""
    xyz: FloatArray
    """(mover, 3), global."""
    cos: FloatArray
    """(mover,), of the heading."""
    sin: FloatArray
    corners: FloatArray
    """(mover, 8, 3): corners of the boxes that hold them, global frame; z changes fastest, x slowest."""
    outlines: bool
    """Whether the shapes are boxes, not the movers' own."""

    @cached_property
    def spheres(self) -> tuple[FloatArray, FloatArray]:
        """Middles (mover, 3), global, and radii (mover,) of spheres that hold the movers."""
        return self.corners.mean(1), self.gallery.radius.take(self.shape)

    def near(self, origin: FloatArray, directions: FloatArray) -> Pairs:
        """Pairs of movers and rays from ``origin`` (3,) along ``directions`` (3, ray) that may meet."""
        middle, radius = self.spheres
        offset = middle - origin
        along = offset @ directions
        meet = along > -radius[:, None]
        along *= along
        meet &= along > ((offset**2).sum(1) - radius**2)[:, None]
        mover, ray = np.divmod(np.flatnonzero(meet), directions.shape[1])
        return mover, ray

    def improve(self, hits: Hits, origins: FloatArray, directions: FloatArray, pairs: Pairs) -> None:
        """Replace hits by those with what moves, where that is nearer.

        Args:
            hits: with what stands.
            origins: (3,) of all rays, or (mover, 3) of the rays that can meet each mover.
            directions: (3, ray), unit length.
            pairs: which can meet.
        """
        mover, ray = pairs
        middle, radius = self.spheres
        skipped = np.maximum(np.linalg.norm(middle - origins, axis=1) - radius, 0)
        pair = np.flatnonzero(hits.distance.take(ray) > skipped.take(mover))
        if len(pair) == 0:
            return
        mover, ray = mover.take(pair), ray.take(pair)
        towards = self._local(mover, directions.take(ray, axis=1))
        start = self._local(np.arange(len(middle)), (origins - self.xyz).T).take(mover, axis=1)
        start += towards * skipped.take(mover)
        beyond, face, normal = self.gallery.cast(self.shape.take(mover), start, towards)
        distance = beyond + skipped.take(mover)
        met = np.flatnonzero(distance < hits.distance.take(ray))
        # of several movers on one ray, the nearest is written last
        met = met[np.argsort(-distance.take(met), kind="stable")]
        mover, ray = mover.take(met), ray.take(met)
        hits.distance[ray] = distance.take(met)
        hits.face[ray] = self.first_face.take(mover) + (0 if self.outlines else face.take(met))
        cos, sin = self.cos.take(mover), self.sin.take(mover)
        x, y, z = normal.take(met, axis=1)
        hits.normal[:, ray] = cos * x - sin * y, sin * x + cos * y, z

    def shaded(self, points: FloatArray, towards: FloatArray) -> NDArray[np.int64]:
        """Indices of the points (3, n) between which and a light in the direction ``towards`` (3,) something moves."""
        middle, radius = self.spheres
        height = dot(points, towards)
        shade = [np.zeros(0, np.int64)]
        # seen from the light, a point and the mover that shades it lie close together
        level = np.array((-towards[1], towards[0], 0), np.float32) / np.hypot(towards[0], towards[1])
        across = np.stack((level, np.cross(towards, level)))
        from_light, middles = across @ points, middle @ across.T
        for (u, v), reach, at in zip(middles, radius, middle @ towards, strict=True):
            near = (from_light[0] - u) ** 2 + (from_light[1] - v) ** 2 < reach * reach
            shade.append(np.flatnonzero(near & (height < at + reach)))
        mover = np.repeat(np.arange(len(middle)), [len(each) for each in shade[1:]])
        point = np.concatenate(shade)
        if len(point) == 0:
            return point
        skipped = np.maximum((middle @ towards - radius).take(mover) - height.take(point), 0)
        start = points.take(point, axis=1) + towards[:, None] * skipped - self.xyz.T.take(mover, axis=1)
        along = np.broadcast_to(towards[:, None], start.shape)
        distance, _, _ = self.gallery.cast(self.shape.take(mover), self._local(mover, start), self._local(mover, along))
        shaded: NDArray[np.int64] = point[np.isfinite(distance)]
        return shaded

    def _local(self, mover: NDArray[np.int64], vectors: FloatArray) -> FloatArray:
        """Vectors (3, n), each in the frame of the mover (n,) that it is paired with."""
        cos, sin = self.cos.take(mover), self.sin.take(mover)
        x, y, z = vectors
        return np.stack((cos * x + sin * y, cos * y - sin * x, z))


def paired(windows: Sequence[NDArray[np.int64]]) -> Pairs:
    """Every mover with the rays in its window."""
    mover = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
    return mover, np.concatenate([np.zeros(0, np.int64), *windows])


def together(movers: Sequence[Movers]) -> Movers:
    """Movers of several times as one."""
    arrays = ("shape", "first_face", "xyz", "cos", "sin", "corners")
    return replace(movers[0], **{name: np.concatenate([getattr(each, name) for each in movers]) for name in arrays})
