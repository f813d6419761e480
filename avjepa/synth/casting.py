"""Rays against the street: one scene that is built once, and one that is rebuilt for every moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.action import Cast
from avjepa.synth.actors import Pose
from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.mesh import Mesh, merged, turned
from avjepa.synth.open3d_import import o3d

NOTHING = -1
_BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 3, 7], [1, 7, 5]]
)  # fmt: skip
BOX_EDGES = np.array([(corner, corner | bit) for bit in (1, 2, 4) for corner in range(8) if not corner & bit])
"""(12, 2), pairs of the corners of a box in ``Moment.mover_corners``."""
_REACH = 110.0
_SHADOWS = 18.0
"""Distances (m): beyond the first nothing is sensed, within the second a shadow may fall into any camera's view."""


@dataclass(frozen=True)
class Surfaces:
    """What a face looks like and whose it is; a face index counts the unmoving faces first, then the moving ones."""

    colour: FloatArray
    """(3, face), linear albedo."""
    material: NDArray[np.uint8]
    """(face,)."""
    owner: NDArray[np.int32]
    """(face,), index of the actor, or ``NOTHING``."""


@dataclass(frozen=True)
class Hits:
    """Where rays end."""

    distance: FloatArray
    """(ray,), m; infinite where a ray meets nothing."""
    face: NDArray[np.int32]
    """(ray,), index into ``Surfaces``, or ``NOTHING``."""
    normal: FloatArray
    """(3, ray), unit length, turned towards the ray's origin."""

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which rays meet something."""
        found: NDArray[np.bool_] = self.face >= 0
        return found


def _scene(vertices: FloatArray, faces: NDArray[np.int32]) -> "o3d.t.geometry.RaycastingScene":
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    triangles = np.ascontiguousarray(faces).astype(np.uint32)
    scene.add_triangles(o3d.core.Tensor(np.ascontiguousarray(vertices)), o3d.core.Tensor(triangles))
    return scene


def first_hits(mesh: Mesh, rays: FloatArray) -> FloatArray:
    """Distances (ray,) to a single mesh; rays (ray, 6) are origin and unit direction."""
    scene = _scene(mesh.vertices, mesh.faces)
    distance: FloatArray = scene.cast_rays(o3d.core.Tensor(np.ascontiguousarray(rays)), nthreads=1)["t_hit"].numpy()
    return distance


class RayCaster:
    """Casts rays into a street at any moment of the scene.

    Only meshes that move are placed anew for every moment; their triangles are those of their first pose. Inside,
    all is turned so that the main street runs along an axis: walls then fit their bounding volumes, and rays cost less.

    Args:
        scenery: what never moves and is never labelled.
        cast: the actors.
        heading: direction of the main street in the global frame, radians.
    """

    def __init__(self, scenery: Mesh, cast: Cast, heading: float) -> None:
        self._cast = cast
        self._turn = -heading
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
        self._fixed = _scene(turned(fixed.vertices, self._turn), fixed.faces)
        self._mobile_faces = mobile.faces
        self._moving = moving
        self._poses = np.array([len(poses) for poses in shapes])
        # all poses of all movers in one array; a mover's pose p starts at _first[mover] + p * _count[mover]
        self._count = np.array([len(poses[0].vertices) for poses in shapes])
        self._first = np.concatenate(([0], np.cumsum(self._count * self._poses)[:-1]))
        self._vertices = np.concatenate([pose.vertices for poses in shapes for pose in poses])
        self._vertex_mover = np.repeat(np.arange(len(moving)), self._count)
        self._vertex_rank = np.concatenate([np.arange(count) for count in self._count])
        self._face_mover = np.repeat(np.arange(len(moving)), [len(poses[0].faces) for poses in shapes])
        first_face = np.searchsorted(self._face_mover, np.arange(len(moving)))
        self._corners = np.concatenate([_corners(poses) for poses in shapes])
        # a radar looks under a vehicle
        self._hulls = self._corners.copy()
        self._hulls[::2, 2] += 0.15
        boxes = 8 * np.arange(len(moving))[:, None, None] + _BOX_FACES
        self._hull_triangles = boxes.reshape(-1, 3).astype(np.int32)
        self._hull_faces = np.repeat(first_face + self._fixed_faces, 12).astype(np.int32)

    def at(self, time: float, around: Array, sector: tuple[float, float] | None = None) -> "Moment":
        """The street as a sensor near ``around`` meets it.

        Args:
            time: seconds since the scene began.
            around: (3,) or (2,), global; movers more than 110 m away are left out.
            sector: global heading of a camera and half its horizontal field of view, radians: movers well outside are
                left out, unless they are so near that their shadows may fall into it.
        """
        pose = self._cast.motion.at(time)
        mine = self._moving
        start = self._first + pose.stage[mine] % self._poses * self._count
        local = self._vertices[start[self._vertex_mover] + self._vertex_rank]
        vertices = turned(_placed(local, self._vertex_mover, pose.yaw[mine], pose.xyz[mine]), self._turn)
        offset = pose.xyz[mine, :2] - around[:2]
        distance = np.hypot(offset[:, 0], offset[:, 1])
        wanted = distance < _REACH
        if sector is not None:
            bearing = np.arctan2(offset[:, 1], offset[:, 0]) - sector[0]
            aside = np.abs((bearing + np.pi) % (2 * np.pi) - np.pi)
            wanted &= (distance < _SHADOWS) | (aside < sector[1] + 0.2)
        # a ray casting scene needs at least one triangle
        wanted[np.argmin(distance)] = True
        kept = np.flatnonzero(wanted[self._face_mover])
        scene = _scene(vertices, self._mobile_faces[kept])
        faces = (kept + self._fixed_faces).astype(np.int32)
        corners = self._box_corners(self._corners, pose).reshape(-1, 8, 3)[wanted]
        return Moment(self._fixed, scene, faces, self.surfaces, pose, self._turn, corners)

    def _box_corners(self, corners: FloatArray, pose: Pose) -> FloatArray:
        """Eight corners per mover, (mover * 8, 3), carried from the mover's own frame to the global one."""
        mover = np.repeat(np.arange(len(self._moving)), 8)
        return _placed(corners, mover, pose.yaw[self._moving], pose.xyz[self._moving])

    def outlines_at(self, time: float) -> "Moment":
        """The same with every mover as the box that holds it: enough for a radar, and much quicker to build."""
        pose = self._cast.motion.at(time)
        corners = self._box_corners(self._hulls, pose)
        scene = _scene(turned(corners, self._turn), self._hull_triangles)
        return Moment(self._fixed, scene, self._hull_faces, self.surfaces, pose, self._turn, corners.reshape(-1, 8, 3))


def _corners(poses: tuple[Mesh, ...]) -> FloatArray:
    """Corners (8, 3) of the smallest box along the axes that holds every pose; z changes fastest, x slowest."""
    low = np.min([pose.vertices.min(0) for pose in poses], axis=0)
    high = np.max([pose.vertices.max(0) for pose in poses], axis=0)
    corners: FloatArray = np.stack(np.meshgrid(*np.stack((low, high), axis=1), indexing="ij"), axis=-1).reshape(8, 3)
    return corners


def _placed(local: FloatArray, mover: NDArray[np.int64], yaw: Array, xyz: Array) -> FloatArray:
    """Vertices (vertex, 3) turned and moved with the mover that each belongs to."""
    cos, sin = np.cos(yaw).astype(np.float32)[mover], np.sin(yaw).astype(np.float32)[mover]
    vertices = xyz.astype(np.float32)[mover]
    vertices[:, 0] += cos * local[:, 0] - sin * local[:, 1]
    vertices[:, 1] += sin * local[:, 0] + cos * local[:, 1]
    vertices[:, 2] += local[:, 2]
    return vertices


@dataclass(frozen=True)
class Moment:
    """The street, frozen."""

    _fixed: "o3d.t.geometry.RaycastingScene"
    _mobile: "o3d.t.geometry.RaycastingScene"
    _mobile_face: NDArray[np.int32]
    """Index into ``surfaces`` of each triangle of the mobile scene."""
    surfaces: Surfaces
    pose: Pose
    _turn: float
    mover_corners: FloatArray
    """(mover, 8, 3): corners of boxes outside which a ray meets nothing that moves, global frame; z fastest."""

    def _rays(self, origins: FloatArray, directions: FloatArray) -> FloatArray:
        rays = np.empty((len(directions), 6), np.float32)
        matrix = turned(np.eye(3, dtype=np.float32), self._turn)
        rays[:, :3] = origins @ matrix
        np.matmul(directions, matrix, out=rays[:, 3:])
        return rays

    def cast(
        self, origin: FloatArray, directions: FloatArray, at_movers: NDArray[np.int64] | slice = slice(None)
    ) -> Hits:
        """First hits of rays from one point along unit directions (ray, 3), global frame.

        Args:
            origin: (3,).
            directions: of the rays.
            at_movers: indices of the rays that can meet something that moves; all, unless a sensor knows better.
        """
        rays = self._rays(origin, directions)
        fixed = self._fixed.cast_rays(o3d.core.Tensor.from_numpy(rays), nthreads=1)
        mobile = self._mobile.cast_rays(o3d.core.Tensor.from_numpy(rays[at_movers]), nthreads=1)
        distance, nearer = fixed["t_hit"].numpy(), mobile["t_hit"].numpy()
        # open3d's mark of a miss is the largest unsigned number: NOTHING
        face, normal = fixed["primitive_ids"].numpy().view(np.int32), fixed["primitive_normals"].numpy()
        met = np.flatnonzero(nearer < distance[at_movers])
        swap = np.arange(len(rays))[at_movers].take(met)
        distance[swap] = nearer.take(met)
        face[swap] = self._mobile_face.take(mobile["primitive_ids"].numpy().take(met))
        normal[swap] = mobile["primitive_normals"].numpy().take(met, axis=0)
        towards = turned(np.eye(3, dtype=np.float32), -self._turn).T @ normal.T
        towards *= np.where(dot(towards, directions.T) > 0, np.float32(-1), np.float32(1))
        return Hits(distance, face, towards)

    def lit(self, points: FloatArray, towards: FloatArray) -> NDArray[np.bool_]:
        """Whether nothing stands between each point (n, 3) and a light in the direction ``towards`` (3,)."""
        tensor = o3d.core.Tensor.from_numpy(self._rays(points, np.broadcast_to(towards, points.shape)))
        dark = (
            self._fixed.test_occlusions(tensor, nthreads=1).numpy()
            | self._mobile.test_occlusions(tensor, nthreads=1).numpy()
        )
        lit: NDArray[np.bool_] = ~dark
        return lit


def dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Products (n,) of vectors (3, n), or of (3, n) and one vector (3,)."""
    product: FloatArray = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product
