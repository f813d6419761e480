"""Labels measured from what the sensors recorded: points in boxes, visible shares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.mesh import turned
from avjepa.synth.sensors.casting import Moment
from avjepa.synth.sensors.rig import Mount, RigidPose
from avjepa.synth.traffic.actors import Actor, Pose

_RAYS_PER_ACTOR = 40


@dataclass(frozen=True)
class Boxes:
    """Upright boxes of all actors at one time, global frame, rounded as they are written."""

    centre: Array
    """(actor, 3)."""
    size: Array
    """(actor, 3): width, length, height."""
    yaw: Array


def boxes_at(actors: tuple[Actor, ...], sizes: Array, pose: Pose) -> Boxes:
    """Boxes that stand where the actors stand.

    Args:
        actors: who they are.
        sizes: (actor, 3), width, length, height in metres.
        pose: where they are.
    """
    centre = pose.xyz + np.column_stack((np.zeros((len(actors), 2)), sizes[:, 2] / 2))
    return Boxes(np.round(centre, 4), sizes, np.round(pose.yaw, 6))


def count_points(boxes: Boxes, which: NDArray[np.int64], points: Array) -> NDArray[np.int64]:
    """How many points (n, 3) lie in each of the boxes ``which``; global frame, double precision."""
    points = points[np.argsort(points[:, 0])]
    counts = np.zeros(len(which), np.int64)
    half, centre, yaw = boxes.size[which] / 2, boxes.centre[which], boxes.yaw[which]
    reach = np.hypot(half[:, 0], half[:, 1]) + 1e-6
    first, last = (np.searchsorted(points[:, 0], centre[:, 0] + shift) for shift in (-reach, reach))
    cosines, sines = np.cos(yaw), np.sin(yaw)
    for number in np.flatnonzero(last > first):
        (width, length, height), cos, sin = half[number], cosines[number], sines[number]
        x, y, z = (points[first[number] : last[number]] - centre[number]).T
        along, across = cos * x + sin * y, cos * y - sin * x
        counts[number] = np.count_nonzero((np.abs(along) <= length) & (np.abs(across) <= width) & (np.abs(z) <= height))
    return counts


class VisibilityProbe:
    """Measures which share of an actor the cameras see.

    Rays go from a camera to points spread evenly over an actor's surface; each counts with the solid angle that its
    piece of surface fills. The share is that of the rays that no other thing stops, among all rays that fall into an
    image, over all cameras. nuScenes defines visibility in the same way by pixels.
    """

    def __init__(self, rng: np.random.Generator, actors: tuple[Actor, ...]) -> None:
        points, normals = [], []
        for actor in actors:
            mesh = actor.poses[0]
            corners = mesh.vertices[mesh.faces]
            cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            area = np.linalg.norm(cross, axis=1).astype(np.float64)
            face = rng.choice(len(area), _RAYS_PER_ACTOR, p=area / area.sum())
            u, v = np.sqrt(rng.random(_RAYS_PER_ACTOR)), rng.random(_RAYS_PER_ACTOR)
            share = np.stack((1 - u, u * (1 - v), u * v), axis=1)[:, :, None]
            points.append((corners[face] * share).sum(1))
            normals.append(cross[face] / area[face, None])
        self._points = np.array(points, np.float32).reshape(-1, _RAYS_PER_ACTOR, 3)
        self._normals = np.array(normals, np.float32).reshape(-1, _RAYS_PER_ACTOR, 3)
        self._seen = np.zeros(len(actors))
        self._asked = np.zeros(len(actors))

    def look(
        self, moment: Moment, mount: Mount, size: tuple[int, int], global_from_ego: RigidPose, which: NDArray[np.int64]
    ) -> None:
        """Add what one camera of ``size`` (width, height) sees of the actors ``which``."""
        global_from_camera = global_from_ego.matrix @ mount.ego_from_sensor
        rotation = global_from_camera[:3, :3].astype(np.float32)
        origin = global_from_camera[:3, 3].astype(np.float32)
        pose = moment.pose
        towards = (pose.xyz[which, :2] - global_from_camera[:2, 3]) @ global_from_camera[:2, 2]
        which = which[towards > -8]
        if len(which) == 0:
            return
        owner = np.repeat(which, _RAYS_PER_ACTOR)
        yaw = pose.yaw[owner]
        points = turned(self._points[which].reshape(-1, 3), yaw) + pose.xyz[owner].astype(np.float32)
        normals = turned(self._normals[which].reshape(-1, 3), yaw)
        local = (points - origin) @ rotation
        (focal, _, centre_x), (_, _, centre_y), _ = mount.intrinsic
        depth = np.maximum(local[:, 2], 1e-3)
        u, v = focal * local[:, 0] / depth + centre_x, focal * local[:, 1] / depth + centre_y
        inside = np.flatnonzero((local[:, 2] > 0.3) & (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1]))
        offset = points[inside] - origin
        distance = np.linalg.norm(offset, axis=1)
        direction = offset / distance[:, None]
        hits = moment.cast(origin, direction.T)
        hit_owner = np.where(hits.found, moment.surfaces.owner[np.maximum(hits.face, 0)], -1)
        free = (hit_owner == owner[inside]) | (hits.distance > distance - 0.05)
        weight = np.abs(np.einsum("ij,ij->i", normals[inside], direction)) / distance**2
        self._asked += np.bincount(owner[inside], weight, len(self._asked))
        self._seen += np.bincount(owner[inside], weight * free, len(self._seen))

    def levels(self) -> NDArray[np.int64]:
        """Visibility levels 1-4 of all actors, 1 for what no camera frames; then starts anew."""
        share = np.where(self._asked > 0, self._seen / np.maximum(self._asked, 1e-12), 0.0)
        self._seen[:] = 0
        self._asked[:] = 0
        levels: NDArray[np.int64] = 1 + np.searchsorted((0.4, 0.6, 0.8), share, side="right")
        return levels
