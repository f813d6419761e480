"""The objects of a scene, from its sweeps alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.pseudo_objects.boxes import Rectangle, fitted_rectangle, rectangle_along
from avjepa.pseudo_objects.classes import Kind
from avjepa.pseudo_objects.clusters import Clusters, column_top, grouped
from avjepa.pseudo_objects.ground import fit_ground
from avjepa.pseudo_objects.motion import Path, lasting, linked, straight_path

BODY = (0.25, 2.6)
"""Metres above the ground within which points make up an object; what is higher only says how high it is."""
SKY = 6.0
"""Metres above the ground from which on nothing is looked at."""
TALLEST = 4.3
"""Metres of the highest road user: what is higher is a building, a tree or a pole."""
_MOVING_CELL, _STANDING_CELL = 0.35, 0.25  # m: of clusters of one sweep, and of several
_FEWEST_OF_SWEEP = 3  # points of a cluster in one sweep
_FEWEST = 6  # points of an object
_LONGEST = 20.0  # m
_NEAR, _STANDING = 0.6, 1.5  # s around a keyframe, for what moves and what stands
_SEEN = 0.16  # s around a keyframe in which an object has to be seen
_SLOWEST = 0.6  # m/s of what moves
_SIGHTINGS, _TRAVELLED = 4, 1.0  # sweeps and metres from which a track moves
_SURE = 10.0  # points of an object that is believed by half
_FLOATING = 1.3  # m above the ground: what begins higher is a crown of a tree, or a sign


@dataclass(frozen=True)
class Sweep:
    """One turn of the LiDAR.

    Args:
        time: seconds from any moment on that the scene's sweeps share.
        points: in an upright frame at rest that they share (m), without those on the vehicle itself.
        vehicle: where the vehicle is in it (m), for which the sensor is taken.
        heading: of the vehicle (rad).
        is_keyframe: whether objects are wanted.
    """

    time: float
    points: Float64[Array, "point 3"]
    vehicle: Float64[Array, "2"]
    heading: float
    is_keyframe: bool


@dataclass(frozen=True)
class Objects:
    """The objects of a keyframe.

    Args:
        boxes: ``geometry.boxes.BOX_FIELDS`` in the frame of the sweeps.
        kinds: what they are.
        scores: how sure they are, in (0, 1].
    """

    boxes: Float64[Array, "object 9"]
    kinds: tuple[Kind, ...]
    scores: Float64[Array, "object"]


@dataclass(frozen=True)
class _Found:
    box: Float64[Array, "9"]
    kind: Kind
    score: float


@dataclass(frozen=True)
class _Cloud:
    """The points of a scene up to ``SKY``, and which of them may be of objects."""

    xyz: Float64[Array, "point 3"]
    height: Float64[Array, "point"]
    sweep: Int64[Array, "point"]
    body: Bool[Array, "point"]


@dataclass(frozen=True)
class _Mover:
    """What moves: by sweep, the rows of its points."""

    sweeps: Int64[Array, "seen"]
    rows: tuple[Array, ...]
    centres: Float64[Array, "seen 2"]


def objects_of_scene(sweeps: Sequence[Sweep], kinds: Sequence[Kind]) -> list[Objects]:
    """What is found at every keyframe, in order.

    The ground is taken away; what lasts at its place stands, what does not is clustered sweep by sweep and followed.
    What moves has its points of the sweeps around a keyframe brought to where it is then; what stands, those of a
    longer while. Around them lies a box, in the direction of the motion or of the longer side, completed to the usual
    size of the kind that it fits best; what fits none is no object. Which end of what stands is its front, nobody
    knows: it is said to face as the vehicle does. (Najibi et al. 2022, "Motion Inspired Unsupervised Perception", and
    You et al. 2022, "Learning to Detect Mobile Objects from LiDAR Scans Without Labels", go by such steps; AlignDet,
    2307.11077, is why necks and heads are worth pre-training.)

    The score of a box is the product of how well it fits its kind (``Kind.fit``), how often something like that is one
    (``Kind.certainty``), and n / (n + 10) for n points.

    Args:
        sweeps: of one scene, in order of time.
        kinds: that may be found.
    """
    keyframes = [number for number, sweep in enumerate(sweeps) if sweep.is_keyframe]
    if not any(len(sweep.points) for sweep in sweeps):
        return [_joined([]) for _ in keyframes]
    times = np.array([sweep.time for sweep in sweeps])
    cloud = _cloud(sweeps)
    body = np.flatnonzero(cloud.body)
    stands = lasting(cloud.xyz[body, :2], cloud.sweep[body], times)
    movers = _movers(cloud, body[~stands], times)
    moving = np.concatenate([np.zeros(0, np.int64), *(rows for mover in movers for rows in mover.rows)])
    standing = np.setdiff1d(body, moving)
    result = []
    for number in keyframes:
        found = [one for mover in movers if (one := _moving_box(cloud, mover, sweeps, times, number, kinds))]
        found += _standing_boxes(cloud, standing, sweeps, times, number, kinds)
        result.append(_joined(_without_doubles(found)))
    return result


def _cloud(sweeps: Sequence[Sweep]) -> _Cloud:
    xyz = np.concatenate([sweep.points for sweep in sweeps])
    number = np.repeat(np.arange(len(sweeps)), [len(sweep.points) for sweep in sweeps])
    height = fit_ground(xyz).heights(xyz)
    kept = (height > BODY[0]) & (height < SKY)
    xyz, number, height = xyz[kept], number[kept], height[kept]
    return _Cloud(xyz, height, number, height < BODY[1])


def _movers(cloud: _Cloud, rows: Int64[Array, "candidate"], times: Float64[Array, "sweep"]) -> list[_Mover]:
    """Of points that are nowhere for long, those that go somewhere together."""
    clusters: list[list[Array]] = []
    ends = np.searchsorted(cloud.sweep[rows], np.arange(len(times) + 1))
    for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        own = rows[first:last]
        xy = cloud.xyz[own, :2]
        members = grouped(Clusters.of(xy, _MOVING_CELL).at(xy))
        clusters.append([own[one] for one in members if _may_be_an_object(xy[one])])
    centres = [np.array([_middle(cloud.xyz[one, :2]) for one in of_sweep]).reshape(-1, 2) for of_sweep in clusters]
    movers = []
    for track in linked(centres, times):
        way = np.array([centres[sweep][one] for sweep, one in zip(track.sweeps, track.clusters, strict=True)])
        if len(way) < _SIGHTINGS or np.linalg.norm(way[-1] - way[0]) < _TRAVELLED:
            continue
        members_of = tuple(clusters[sweep][one] for sweep, one in zip(track.sweeps, track.clusters, strict=True))
        movers.append(_Mover(np.array(track.sweeps), members_of, way))
    return movers


def _may_be_an_object(xy: Float64[Array, "point 2"]) -> bool:
    return len(xy) >= _FEWEST_OF_SWEEP and float(np.ptp(xy, axis=0).max()) <= _LONGEST


def _middle(xy: Float64[Array, "point 2"]) -> Float64[Array, "2"]:
    return np.asarray((xy.min(axis=0) + xy.max(axis=0)) / 2)


def _moving_box(
    cloud: _Cloud, mover: _Mover, sweeps: Sequence[Sweep], times: Float64[Array, "sweep"], keyframe: int,
    kinds: Sequence[Kind],
) -> _Found | None:  # fmt: skip
    """The box of what moves, at a keyframe; ``None`` where it is not seen or its motion is none."""
    away = times[mover.sweeps] - times[keyframe]
    near = np.flatnonzero(np.abs(away) <= _NEAR)
    if len(near) < 3 or np.abs(away).min() > _SEEN:
        return None
    path = straight_path(times[mover.sweeps[near]], mover.centres[near], float(times[keyframe]))
    speed = float(np.linalg.norm(path.velocity))
    if speed < _SLOWEST or not _is_steady(path, speed * float(np.ptp(away[near]))):
        return None
    rows = np.concatenate([mover.rows[one] for one in near.tolist()])
    then = times[cloud.sweep[rows]] - times[keyframe]
    xy = cloud.xyz[rows, :2] - then[:, None] * path.velocity
    seen = rectangle_along(xy, float(np.arctan2(path.velocity[1], path.velocity[0])))
    return _best(seen, cloud.xyz[rows, 2], cloud.height[rows], path.velocity, sweeps[keyframe].vehicle, kinds)


def _is_steady(path: Path, travelled: float) -> bool:
    return path.residual <= max(0.15, 0.2 * travelled)


def _standing_boxes(
    cloud: _Cloud, rows: Int64[Array, "standing"], sweeps: Sequence[Sweep], times: Float64[Array, "sweep"],
    keyframe: int, kinds: Sequence[Kind],
) -> list[_Found]:  # fmt: skip
    """The boxes of what stands, at a keyframe."""
    away = np.abs(times - times[keyframe])
    rows = rows[away[cloud.sweep[rows]] <= _STANDING]
    xy = cloud.xyz[rows, :2]
    clusters = Clusters.of(xy, _STANDING_CELL)
    around = np.flatnonzero((away[cloud.sweep] <= _STANDING) & ~cloud.body)
    above = clusters.at(cloud.xyz[around, :2])
    order = np.argsort(above, kind="stable")
    above, around = above[order], around[order]
    found = []
    for members in grouped(clusters.at(xy)):
        own = rows[members]
        seen_now = int((away[cloud.sweep[own]] <= _SEEN).sum())
        if len(own) < _FEWEST or seen_now < 2 or not _may_be_an_object(cloud.xyz[own, :2]):
            continue
        number = clusters.at(cloud.xyz[own[:1], :2])[0]
        over = around[slice(*np.searchsorted(above, (number, number + 1)).tolist())]
        top = column_top(cloud.height[np.concatenate((own, over))])
        if top > TALLEST:
            continue
        own = np.concatenate((own, over[cloud.height[over] <= top]))
        seen = _facing(fitted_rectangle(cloud.xyz[own, :2]), sweeps[keyframe].heading)
        one = _best(seen, cloud.xyz[own, 2], cloud.height[own], np.zeros(2), sweeps[keyframe].vehicle, kinds)
        if one is not None:
            found.append(one)
    return found


def _facing(rectangle: Rectangle, heading: float) -> Rectangle:
    """The rectangle turned by half a turn, if that brings it nearer to a heading."""
    if np.cos(rectangle.yaw - heading) >= 0:
        return rectangle
    return rectangle.quarter_turn().quarter_turn()


def _best(
    seen: Rectangle, z: Float64[Array, "point"], heights: Float64[Array, "point"], velocity: Float64[Array, "2"],
    sensor: Float64[Array, "2"], kinds: Sequence[Kind],
) -> _Found | None:  # fmt: skip
    """The box of the kind that fits best; ``None`` where none does."""
    speed, top = float(np.linalg.norm(velocity)), float(heights.max())
    best: _Found | None = None
    if heights.min() > _FLOATING:
        return None
    for kind in kinds:
        its_front = kind.shows_a_side and not speed and seen.size[0] <= 1.3 * kind.size[1]
        rectangle = seen.quarter_turn() if its_front else seen
        score = kind.fit(np.array([*rectangle.size, top]), speed) * kind.certainty * len(z) / (len(z) + _SURE)
        if score > 0 and (best is None or score > best.score):
            whole = rectangle.grown(np.array(kind.size[:2]), sensor)
            box = [*whole.centre, float(np.median(z - heights)) + top / 2, *whole.size, top, whole.yaw, *velocity]
            best = _Found(np.array(box), kind, score)
    return best


def _without_doubles(found: Sequence[_Found]) -> list[_Found]:
    """The objects, best first, without those whose middle lies within a better one."""
    kept: list[_Found] = []
    for one in sorted(found, key=lambda each: -each.score):
        if not any(_holds(other.box, one.box[:2]) for other in kept):
            kept.append(one)
    return kept


def _holds(box: Float64[Array, "9"], xy: Float64[Array, "2"]) -> bool:
    away = xy - box[:2]
    cos, sin = np.cos(box[6]), np.sin(box[6])
    return bool(abs(cos * away[0] + sin * away[1]) <= box[3] / 2 and abs(cos * away[1] - sin * away[0]) <= box[4] / 2)


def _joined(found: Sequence[_Found]) -> Objects:
    boxes = np.array([one.box for one in found]).reshape(-1, 9)
    return Objects(boxes, tuple(one.kind for one in found), np.array([one.score for one in found]))
