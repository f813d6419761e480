"""Rays against the street: one scene that is built once, and one that is rebuilt for every moment."""

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from avjepa.synth.actors import Pose
from avjepa.synth.materials import FloatArray
from avjepa.synth.mesh import Mesh, merged
from avjepa.synth.population import Cast

NOTHING = -1


@dataclass(frozen=True)
class Surfaces:
    """What a face looks like and whose it is; a face index counts the unmoving faces first, then the moving ones."""

    colour: FloatArray
    """(face, 3), linear albedo."""
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
    """(ray, 3), unit length, turned towards the ray's origin."""

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

    Only meshes that move are placed anew for every moment; their triangles are those of their first pose.
    """

    def __init__(self, scenery: Mesh, cast: Cast) -> None:
        self._cast = cast
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
            np.concatenate((fixed.colour, mobile.colour)),
            np.concatenate((fixed.material, mobile.material)),
            np.concatenate(owners).astype(np.int32),
        )
        self._fixed_faces = len(fixed.faces)
        self._fixed = _scene(fixed.vertices, fixed.faces)
        self._mobile_faces = mobile.faces
        self._moving = moving
        self._poses = np.array([len(poses) for poses in shapes])
        # all poses of all movers in one array; a mover's pose p starts at _first[mover] + p * _count[mover]
        self._count = np.array([len(poses[0].vertices) for poses in shapes])
        self._first = np.concatenate(([0], np.cumsum(self._count * self._poses)[:-1]))
        self._vertices = np.concatenate([pose.vertices for poses in shapes for pose in poses])
        self._vertex_mover = np.repeat(np.arange(len(moving)), self._count)
        self._vertex_rank = np.concatenate([np.arange(count) for count in self._count])

    def at(self, time: float) -> "Moment":
        """The street at ``time`` seconds since the scene began."""
        pose = self._cast.motion.at(time)
        mine = self._moving
        stage = pose.stage[mine] % self._poses
        start = self._first + stage * self._count
        local = self._vertices[start[self._vertex_mover] + self._vertex_rank]
        cos = np.cos(pose.yaw[mine]).astype(np.float32)[self._vertex_mover]
        sin = np.sin(pose.yaw[mine]).astype(np.float32)[self._vertex_mover]
        shift = pose.xyz[mine].astype(np.float32)[self._vertex_mover]
        vertices = np.empty_like(local)
        vertices[:, 0] = cos * local[:, 0] - sin * local[:, 1] + shift[:, 0]
        vertices[:, 1] = sin * local[:, 0] + cos * local[:, 1] + shift[:, 1]
        vertices[:, 2] = local[:, 2] + shift[:, 2]
        return Moment(self._fixed, _scene(vertices, self._mobile_faces), self._fixed_faces, self.surfaces, pose)


@dataclass(frozen=True)
class Moment:
    """The street, frozen."""

    _fixed: "o3d.t.geometry.RaycastingScene"
    _mobile: "o3d.t.geometry.RaycastingScene"
    _fixed_faces: int
    surfaces: Surfaces
    pose: Pose

    def cast(self, origin: FloatArray, directions: FloatArray) -> Hits:
        """First hits of rays from one point along unit directions (ray, 3), global frame."""
        rays = np.empty((len(directions), 6), np.float32)
        rays[:, :3] = origin
        rays[:, 3:] = directions
        tensor = o3d.core.Tensor.from_numpy(rays)
        fixed, mobile = self._fixed.cast_rays(tensor, nthreads=1), self._mobile.cast_rays(tensor, nthreads=1)
        distance, nearer = fixed["t_hit"].numpy(), mobile["t_hit"].numpy()
        face = fixed["primitive_ids"].numpy().astype(np.int32)
        face[np.isinf(distance)] = NOTHING
        normal = fixed["primitive_normals"].numpy()
        swap = np.flatnonzero(nearer < distance)
        distance[swap] = nearer[swap]
        face[swap] = mobile["primitive_ids"].numpy()[swap].astype(np.int32) + self._fixed_faces
        normal[swap] = mobile["primitive_normals"].numpy()[swap]
        normal *= -np.sign(np.einsum("ij,ij->i", normal, directions))[:, None]
        return Hits(distance, face, normal)

    def lit(self, points: FloatArray, towards: FloatArray) -> NDArray[np.bool_]:
        """Whether nothing stands between each point (n, 3) and a light in the direction ``towards`` (3,)."""
        rays = np.empty((len(points), 6), np.float32)
        rays[:, :3] = points
        rays[:, 3:] = towards
        tensor = o3d.core.Tensor.from_numpy(rays)
        dark = (
            self._fixed.test_occlusions(tensor, nthreads=1).numpy()
            | self._mobile.test_occlusions(tensor, nthreads=1).numpy()
        )
        lit: NDArray[np.bool_] = ~dark
        return lit
