"""Rays against the street: what stands, and what moves, which rays are carried to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.bodies.gallery import Gallery, ray_scene
from avjepa.synth.bodies.mesh import Mesh, merged, turned
from avjepa.synth.sensors.hits import NOTHING, Hits, Surfaces
from avjepa.synth.sensors.open3d_import import o3d
from avjepa.synth.traffic.action import Cast
from avjepa.synth.traffic.actors import Pose
from avjepa.synth.traffic.movers import Movers, paired, together

_BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 3, 7], [1, 7, 5]], np.int32
)  # fmt: skip
_REACH = 110.0
_SHADOWS = 18.0
"""Distances (m): beyond the first nothing is sensed, within the second a shadow may fall into any camera's view."""


def first_hits(mesh: Mesh, rays: FloatArray) -> FloatArray:
    """Distances (ray,) to a single mesh; rays (ray, 6) are origin and unit direction."""
    scene = ray_scene(mesh.vertices, mesh.faces)
    distance: FloatArray = scene.cast_rays(o3d.core.Tensor(np.ascontiguousarray(rays)), nthreads=1)["t_hit"].numpy()
    return distance


class RayCaster:
    """Casts rays into a street at any moment of the scene.

    What moves has equal triangles in all poses. Inside, what stands is turned so that the main street runs along an
    axis: walls then fit their bounding volumes, and rays cost less.

    Args:
        scenery: what never moves and is never labelled.
        cast: the actors.
        heading: direction of the main street in the global frame, radians.
    """

    def __init__(self, scenery: Mesh, cast: Cast, heading: float) -> None:
        self._cast = cast
        self._turned, self._turned_back = (turned(np.eye(3, dtype=np.float32), yaw) for yaw in (-heading, heading))
        pose = cast.motion.at(0.0)
        still = np.flatnonzero(~cast.moves)
        placed = [cast.actors[i].poses[0].moved(pose.xyz[i], float(pose.yaw[i])) for i in still]
        moving = np.flatnonzero(cast.moves)
        shapes = [cast.actors[i].poses for i in moving]
        fixed = merged([scenery, *placed])
        mobile = merged([poses[0] for poses in shapes])
        owners = [np.full(len(scenery.faces), NOTHING)]
        owners += [np.full(len(mesh.faces), i) for mesh, i in zip(placed, still, strict=True)]
        owners += [np.full(len(poses[0].faces), i) for poses, i in zip(shapes, moving, strict=True)]
        self.surfaces = Surfaces(
            np.ascontiguousarray(np.concatenate((fixed.colour, mobile.colour)).T),
            np.concatenate((fixed.material, mobile.material)),
            np.concatenate(owners).astype(np.int32),
        )
        self._fixed_faces = len(fixed.faces)
        self._standing_normals = np.ascontiguousarray(fixed.normals.T)
        self._fixed = ray_scene(turned(fixed.vertices, -heading), fixed.faces)
        self._moving = moving
        self._poses = np.array([len(poses) for poses in shapes])
        faces = np.array([len(poses[0].faces) for poses in shapes])
        self._first_face = len(fixed.faces) + np.concatenate(([0], np.cumsum(faces)[:-1]))
        self._corners = np.array([_corners(poses) for poses in shapes])
        # a radar sees boxes, and looks under a vehicle
        hulls = self._corners.copy()
        hulls[:, ::2, 2] += 0.15
        entries = [
            [*((pose.vertices, pose.faces) for pose in poses), (hull, _BOX_FACES)]
            for poses, hull in zip(shapes, hulls, strict=True)
        ]
        self._first_shape = np.concatenate(([0], np.cumsum(self._poses + 1)[:-1]))
        radius = np.linalg.norm(np.ptp(self._corners, axis=1), axis=1) / 2 + np.float32(0.01)
        self._radius = np.linalg.norm(np.abs(self._corners).max(1)[:, :2], axis=1)
        self._gallery = Gallery(
            [shape for each in entries for shape in each],
            np.repeat(radius, self._poses + 1),
        )

    def at(
        self, time: float, around: Array, sector: tuple[float, float] | None = None, *, outlines: bool = False
    ) -> "Moment":
        """The street as a sensor near ``around`` meets it.

        Args:
            time: seconds since the scene began.
            around: (3,) or (2,), global; movers more than 110 m away are left out.
            sector: global heading of a sensor and half its horizontal field of view, radians: movers well outside are
                left out, unless they are so near that their shadows may fall into it.
            outlines: show every mover as the box that holds it, which is what a radar makes of it.
        """
        pose = self._cast.motion.at(time)
        offset = pose.xyz[self._moving, :2] - around[:2]
        distance = np.hypot(offset[:, 0], offset[:, 1])
        wanted = distance < _REACH
        if sector is not None:
            bearing = np.arctan2(offset[:, 1], offset[:, 0]) - sector[0]
            aside = np.abs((bearing + np.pi) % (2 * np.pi) - np.pi)
            # half the angle that a mover fills, but no less than a shadow may need
            wide = np.arcsin(np.minimum(self._radius / np.maximum(distance, self._radius), 1.0))
            wanted &= (distance < _SHADOWS) | (aside < sector[1] + np.maximum(wide, 0.2))
        mover = np.flatnonzero(wanted)
        actor = self._moving[mover]
        stage = self._poses[mover] if outlines else pose.stage[actor] % self._poses[mover]
        yaw, xyz = pose.yaw[actor].astype(np.float32), pose.xyz[actor].astype(np.float32)
        movers = Movers(
            self._gallery,
            self._first_shape[mover] + stage,
            self._first_face[mover],
            xyz,
            np.cos(yaw),
            np.sin(yaw),
            _placed(self._corners[mover], yaw, xyz),
            outlines,
        )
        return Moment(self._fixed, movers, self.surfaces, pose, self._standing_normals, self._turned, self._turned_back)


def _corners(poses: tuple[Mesh, ...]) -> FloatArray:
    """Corners (8, 3) of the smallest box along the axes that holds every pose; z changes fastest, x slowest."""
    low = np.min([pose.vertices.min(0) for pose in poses], axis=0)
    high = np.max([pose.vertices.max(0) for pose in poses], axis=0)
    corners: FloatArray = np.stack(np.meshgrid(*np.stack((low, high), axis=1), indexing="ij"), axis=-1).reshape(8, 3)
    return corners


def _placed(local: FloatArray, yaw: FloatArray, xyz: FloatArray) -> FloatArray:
    """Points (mover, n, 3) turned and moved with their movers."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = (local[..., axis] for axis in range(3))
    placed: FloatArray = np.stack((cos * x - sin * y, sin * x + cos * y, z), axis=-1) + xyz[:, None]
    return placed


@dataclass(frozen=True)
class Moment:
    """The street, frozen."""

    _fixed: "o3d.t.geometry.RaycastingScene"
    movers: Movers
    surfaces: Surfaces
    pose: Pose
    standing_normals: FloatArray
    """(3, face), unit length, of what stands."""
    _turned: FloatArray
    """(3, 3), takes row vectors into the frame in which what stands is kept."""
    _turned_back: FloatArray

    def cast(
        self, origin: FloatArray, directions: FloatArray, windows: Sequence[NDArray[np.int64]] | None = None
    ) -> Hits:
        """First hits of rays from one point along unit directions (3, ray), global frame.

        Args:
            origin: (3,).
            directions: of the rays.
            windows: per mover, indices of the rays that can meet it; found here unless a sensor has a quicker way.
        """
        hits = self._hits(origin, directions)
        pairs = self.movers.near(origin, directions) if windows is None else paired(windows)
        self.movers.improve(hits, origin, directions, pairs)
        return hits

    def standing(self, origin: FloatArray, directions: FloatArray) -> tuple[FloatArray, NDArray[np.int32]]:
        """Distance and face (ray,) of the first hits with what never moves; origin (3,), directions (3, ray)."""
        hits = self._fixed.cast_rays(o3d.core.Tensor.from_numpy(self._rays(origin, directions)), nthreads=1)
        # open3d's mark of a miss is the largest unsigned number: NOTHING
        return hits["t_hit"].numpy(), hits["primitive_ids"].numpy().view(np.int32)

    def _hits(self, origins: FloatArray, directions: FloatArray) -> Hits:
        hits = self._fixed.cast_rays(o3d.core.Tensor.from_numpy(self._rays(origins, directions)), nthreads=1)
        normal = self._turned_back.T @ hits["primitive_normals"].numpy().T
        return Hits(hits["t_hit"].numpy(), hits["primitive_ids"].numpy().view(np.int32), normal)

    def lit(self, points: FloatArray, towards: FloatArray) -> NDArray[np.bool_]:
        """Whether nothing stands between each point (3, n) and a light in the direction ``towards`` (3,)."""
        tensor = o3d.core.Tensor.from_numpy(self._rays(points.T, np.broadcast_to(towards[:, None], points.shape)))
        lit: NDArray[np.bool_] = ~self._fixed.test_occlusions(tensor, nthreads=1).numpy()
        sunny = np.flatnonzero(lit)
        lit[sunny[self.movers.shaded(points.take(sunny, axis=1), towards)]] = False
        return lit

    def _rays(self, origins: FloatArray, directions: FloatArray) -> FloatArray:
        rays = np.empty((directions.shape[1], 6), np.float32)
        for axis, values in enumerate((origins @ self._turned).T):
            rays[:, axis] = values
        np.matmul(directions.T, self._turned, out=rays[:, 3:])
        return rays


def cast_together(moments: Sequence[Moment], origins: FloatArray, directions: FloatArray) -> Hits:
    """First hits of rays at several moments of one street, n for each.

    Args:
        moments: of the street.
        origins: (moment, 3), one point for the rays of each moment.
        directions: (3, moment * n), unit length.
    """
    each = directions.shape[1] // len(moments)
    hits = moments[0]._hits(np.repeat(origins, each, axis=0), directions)
    counts = [len(moment.movers.shape) for moment in moments]
    mover, ray = [], []
    for number, (moment, origin) in enumerate(zip(moments, origins, strict=True)):
        start = number * each
        near = moment.movers.near(origin, directions[:, start : start + each])
        mover.append(near[0] + sum(counts[:number]))
        ray.append(near[1] + start)
    pairs = np.concatenate(mover), np.concatenate(ray)
    together([moment.movers for moment in moments]).improve(hits, np.repeat(origins, counts, axis=0), directions, pairs)
    return hits
