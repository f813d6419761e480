"""What moves, in every pose, each pose at a place of its own: built once for ray casting, however the movers move.

A ray that may meet a mover is carried to the place of the mover's present pose, so nothing is rebuilt when time goes
on. It starts just short of the pose, and places lie four radii apart: it meets its own pose before any other's.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import FloatArray
from avjepa.synth.sensors.open3d_import import o3d

Shape = tuple[FloatArray, NDArray[np.int32]]
"""Vertices (vertex, 3) in the mover's frame, triangles (face, 3)."""


def ray_scene(vertices: FloatArray, faces: NDArray[np.int32]) -> "o3d.t.geometry.RaycastingScene":
    """Triangles, ready for rays."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    triangles = np.ascontiguousarray(faces).astype(np.uint32)
    scene.add_triangles(o3d.core.Tensor(np.ascontiguousarray(vertices)), o3d.core.Tensor(triangles))
    return scene


class Gallery:
    """Casts rays at single shapes.

    Args:
        shapes: all poses of all movers.
        radius: (shape,), of a sphere about the middle of the shape that holds it, m.
    """

    def __init__(self, shapes: Sequence[Shape], radius: FloatArray) -> None:
        self.radius = radius
        side = int(np.ceil(np.sqrt(len(shapes))))
        place = np.stack(np.divmod(np.arange(len(shapes)), side), axis=1) - side / 2
        self._place = np.column_stack((place * float(4 * radius.max()), np.zeros(len(shapes)))).astype(np.float32)
        starts = np.cumsum([0] + [len(vertices) for vertices, _ in shapes[:-1]])
        self._first = np.cumsum([0] + [len(faces) for _, faces in shapes])
        self._scene = ray_scene(
            np.concatenate([vertices + at for (vertices, _), at in zip(shapes, self._place, strict=True)]),
            np.concatenate([faces + np.int32(start) for (_, faces), start in zip(shapes, starts, strict=True)]),
        )

    def cast(
        self, shape: NDArray[np.int64], origins: FloatArray, directions: FloatArray
    ) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
        """First hits of rays with the one shape that each is meant for.

        Args:
            shape: (ray,), which one.
            origins: (3, ray), in the mover's frame, where the ray is about to enter the shape's sphere or inside it.
            directions: (3, ray), unit length, same frame.

        Returns:
            Distance (ray,), infinite for a miss; triangle (ray,) within the shape; normal (3, ray), mover's frame.
        """
        rays = np.empty((len(shape), 6), np.float32)
        rays[:, :3] = origins.T
        rays[:, :3] += self._place.take(shape, axis=0)
        rays[:, 3:] = directions.T
        hits = self._scene.cast_rays(o3d.core.Tensor.from_numpy(rays), nthreads=1)
        face = hits["primitive_ids"].numpy().astype(np.int64) - self._first.take(shape)
        missed = (face < 0) | (face >= np.diff(self._first).take(shape))
        return np.where(missed, np.float32(np.inf), hits["t_hit"].numpy()), face, hits["primitive_normals"].numpy().T
