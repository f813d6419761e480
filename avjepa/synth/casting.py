"""Rays against the street: what stands, and what moves, which rays are carried to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.action import Cast
from avjepa.synth.actors import Pose
from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.gallery import Gallery, ray_scene
from avjepa.synth.mesh import Mesh, merged, turned
from avjepa.synth.open3d_import import o3d

NOTHING = -1
_BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 3, 7], [1, 7, 5]], np.int32
)  # fmt: skip
BOX_EDGES = np.array([(corner, corner | bit) for bit in (1, 2, 4) for corner in range(8) if not corner & bit])
"""(12, 2), pairs of the corners of a box in ``Movers.corners``."""
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
        self._fixed = ray_scene(turned(fixed.vertices, self._turn), fixed.faces)
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
            sector: global heading of a camera and half its horizontal field of view, radians: movers well outside are
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
            wanted &= (distance < _SHADOWS) | (aside < sector[1] + 0.2)
        mover = np.flatnonzero(wanted)
        actor = self._moving[mover]
        stage = self._poses[mover] if outlines else pose.stage[actor] % self._poses[mover]
        yaw, xyz = pose.yaw[actor].astype(np.float32), pose.xyz[actor].astype(np.float32)
        movers = Movers(
            self._first_shape[mover] + stage,
            self._first_face[mover],
            xyz,
            np.cos(yaw),
            np.sin(yaw),
            _placed(self._corners[mover], yaw, xyz),
            outlines,
        )
        return Moment(self._fixed, self._gallery, movers, self.surfaces, pose, self._turn)


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
class Movers:
    """What moves within a sensor's reach, at one time."""

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

    def local(self, mover: NDArray[np.int64], vectors: FloatArray) -> FloatArray:
        """Vectors (3, n), each in the frame of the mover (n,) that it is paired with."""
        cos, sin = self.cos.take(mover), self.sin.take(mover)
        x, y, z = vectors
        return np.stack((cos * x + sin * y, cos * y - sin * x, z))


@dataclass(frozen=True)
class Moment:
    """The street, frozen."""

    _fixed: "o3d.t.geometry.RaycastingScene"
    _gallery: Gallery
    movers: Movers
    surfaces: Surfaces
    pose: Pose
    _turn: float

    def _rays(self, origins: FloatArray, directions: FloatArray) -> FloatArray:
        rays = np.empty((len(directions), 6), np.float32)
        matrix = turned(np.eye(3, dtype=np.float32), self._turn)
        rays[:, :3] = origins @ matrix
        np.matmul(directions, matrix, out=rays[:, 3:])
        return rays

    def cast(
        self, origin: FloatArray, directions: FloatArray, windows: Sequence[NDArray[np.int64]] | None = None
    ) -> Hits:
        """First hits of rays from one point along unit directions (ray, 3), global frame.

        Args:
            origin: (3,).
            directions: of the rays.
            windows: per mover, indices of the rays that can meet it; found here unless a sensor has a quicker way.
        """
        tensor = o3d.core.Tensor.from_numpy(self._rays(origin, directions))
        fixed = self._fixed.cast_rays(tensor, nthreads=1)
        # open3d's mark of a miss is the largest unsigned number: NOTHING
        distance, face = fixed["t_hit"].numpy(), fixed["primitive_ids"].numpy().view(np.int32)
        normal = turned(np.eye(3, dtype=np.float32), -self._turn).T @ fixed["primitive_normals"].numpy().T
        self._cast_at_movers(origin, directions.T, windows, Hits(distance, face, normal))
        normal *= np.where(dot(normal, directions.T) > 0, np.float32(-1), np.float32(1))
        return Hits(distance, face, normal)

    def _middles(self) -> tuple[FloatArray, FloatArray]:
        """Middles (mover, 3), global, and radii (mover,) of spheres that hold the movers."""
        return self.movers.corners.mean(1), self._gallery.radius.take(self.movers.shape)

    def _cast_at_movers(
        self, origin: FloatArray, directions: FloatArray, windows: Sequence[NDArray[np.int64]] | None, hits: Hits
    ) -> None:
        """Replace hits by those with what moves, where that is nearer."""
        movers = self.movers
        middle, radius = self._middles()
        offset = middle - origin
        reach = np.linalg.norm(offset, axis=1)
        if windows is None:
            along = offset @ directions
            aside = (reach**2)[:, None] - along**2
            mover, ray = np.nonzero((aside < (radius**2)[:, None]) & (along > -radius[:, None]))
        else:
            mover = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
            ray = np.concatenate([np.zeros(0, np.int64), *windows])
        skipped = np.maximum(reach - radius, 0)
        pair = np.flatnonzero(hits.distance.take(ray) > skipped.take(mover))
        if len(pair) == 0:
            return
        mover, ray = mover.take(pair), ray.take(pair)
        towards = movers.local(mover, directions.take(ray, axis=1))
        start = movers.local(np.arange(len(reach)), (origin - movers.xyz).T).take(mover, axis=1)
        start += towards * skipped.take(mover)
        beyond, face, normal = self._gallery.cast(movers.shape.take(mover), start, towards)
        distance = beyond + skipped.take(mover)
        met = np.flatnonzero(distance < hits.distance.take(ray))
        # of several movers on one ray, the nearest is written last
        met = met[np.argsort(-distance.take(met), kind="stable")]
        mover, ray = mover.take(met), ray.take(met)
        hits.distance[ray] = distance.take(met)
        hits.face[ray] = movers.first_face.take(mover) + (0 if movers.outlines else face.take(met))
        cos, sin = movers.cos.take(mover), movers.sin.take(mover)
        x, y, z = normal.take(met, axis=1)
        hits.normal[:, ray] = cos * x - sin * y, sin * x + cos * y, z

    def lit(self, points: FloatArray, towards: FloatArray) -> NDArray[np.bool_]:
        """Whether nothing stands between each point (3, n) and a light in the direction ``towards`` (3,)."""
        tensor = o3d.core.Tensor.from_numpy(self._rays(points.T, np.broadcast_to(towards, points.T.shape)))
        lit: NDArray[np.bool_] = ~self._fixed.test_occlusions(tensor, nthreads=1).numpy()
        sunny = np.flatnonzero(lit)
        points = points.take(sunny, axis=1)
        middle, radius = self._middles()
        height = dot(points, towards)
        shade = [np.zeros(0, np.int64)]
        # seen from the light, a point and the mover that shades it lie close together
        across = np.linalg.svd(towards[None])[2][1:]
        from_light, middles = across @ points, middle @ across.T
        for (u, v), reach, at in zip(middles, radius, middle @ towards, strict=True):
            near = (from_light[0] - u) ** 2 + (from_light[1] - v) ** 2 < reach * reach
            shade.append(np.flatnonzero(near & (height < at + reach)))
        mover = np.repeat(np.arange(len(middle)), [len(each) for each in shade[1:]])
        point = np.concatenate(shade)
        if len(point):
            skipped = np.maximum((middle @ towards - radius).take(mover) - height.take(point), 0)
            start = points.take(point, axis=1) + towards[:, None] * skipped - self.movers.xyz.T.take(mover, axis=1)
            along = np.broadcast_to(towards[:, None], start.shape)
            local = self.movers.local(mover, start), self.movers.local(mover, along)
            distance, _, _ = self._gallery.cast(self.movers.shape.take(mover), *local)
            lit[sunny[point[np.isfinite(distance)]]] = False
        return lit


def dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Products (n,) of vectors (3, n), or of (3, n) and one vector (3,)."""
    product: FloatArray = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product
