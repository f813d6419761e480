"""Automotive radars like the Continental ARS 408 of nuScenes.

A radar measures range, bearing and radial speed of clusters. ``vx``, ``vy`` hold the velocity relative to the sensor
(its own motion included), ``vx_comp``, ``vy_comp`` the radial speed over ground along the line of sight. Positions come
in steps of .2 m, relative velocities of .25 m/s, cross-sections of .5 dB, as in the recordings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.materials import OPTICS, Material
from avjepa.synth.dataset.radar_file import RADAR_RECORD
from avjepa.synth.sensors.casting import Moment, cast_together
from avjepa.synth.sensors.rig import Mount, RigidPose
from avjepa.synth.weather.rain import DRY_CLUTTER, DRY_GHOSTS, Rain

MAX_RETURNS = 125
_MAX_RANGE = 100.0
_HALF_FIELD = math.radians(60.0)
_INTERFERENCE = 60  # false targets of a cycle that another radar disturbs
_CATEGORY_RCS = {
    # dB m²: mean cross-section of a well-seen target
    "vehicle.car": 9.0,
    "vehicle.truck": 14.0,
    "vehicle.bus.rigid": 16.0,
    "vehicle.bus.bendy": 16.0,
    "vehicle.trailer": 15.0,
    "vehicle.construction": 12.0,
    "vehicle.motorcycle": 3.0,
    "vehicle.bicycle": -1.0,
    "human.pedestrian.adult": -4.0,
    "human.pedestrian.child": -7.0,
    "human.pedestrian.construction_worker": -4.0,
    "movable_object.barrier": 1.0,
    "movable_object.trafficcone": -9.0,
}
# validity codes of doubtful returns, and how often any of them up to here occurs
_INVALID_STATES = np.array((4, 7, 9, 11, 16))
_INVALID_UP_TO = np.cumsum((0.38, 0.02, 0.18, 0.26, 0.16))
_INVALID_UP_TO /= _INVALID_UP_TO[-1]


@dataclass(frozen=True)
class View:
    """What one radar needs to know about one cycle."""

    moment: Moment
    """The street at the radar's own time, in outlines."""
    global_from_ego: RigidPose
    """Pose of the vehicle at that time."""
    velocity: Array
    """(3,), of the sensor over ground, global frame, m/s."""
    rng: np.random.Generator
    """Noise."""


@dataclass(frozen=True)
class _Targets:
    """Candidate clusters of several radars, each in its sensor's frame."""

    radar: NDArray[np.int64]
    """Index of the radar, in ascending order."""
    xy: Array
    rcs: Array
    radial: Array
    """Speed over ground along the line of sight, m/s, away from the sensor positive."""
    speed: Array
    """Full speed over ground: decides the motion class only."""
    could_move: NDArray[np.bool_]
    """Belongs to something that moves at some time of the scene."""
    false: NDArray[np.bool_]
    """Is not where it claims to be: mirror images and clutter."""

    def take(self, which: NDArray[np.int64]) -> "_Targets":
        """Those of the indices ``which``."""
        return _Targets(*(getattr(self, field.name)[which] for field in fields(self)))


class Radars:
    """The radars of one vehicle. They are worked out together: each alone has too few echoes to keep numpy busy.

    Args:
        mounts: calibration of each.
        categories: nuScenes category name of every actor.
        moves: which actors move at some time of the scene.
        rain: that falls; ``None`` where it is dry.
    """

    def __init__(
        self,
        mounts: Sequence[Mount],
        categories: tuple[str, ...],
        moves: NDArray[np.bool_],
        rain: Rain | None = None,
    ) -> None:
        self._mounts, self._rain = mounts, rain
        self._category_rcs = np.array([_CATEGORY_RCS[name] for name in categories])
        self._moves = moves
        azimuth, elevation = np.meshgrid(
            np.linspace(-_HALF_FIELD, _HALF_FIELD, 121), np.radians((-3.0, -1.2, 0.3, 1.6, 4.0)), indexing="ij"
        )
        directions = np.stack(
            (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)), -1
        )
        self._directions = directions.reshape(-1, 3).astype(np.float32)

    def sectors(self, global_from_egos: Sequence[RigidPose]) -> list[tuple[float, float]]:
        """Of each radar, global heading and half the field of view, radians."""
        axes = [
            pose.matrix[:2, :3] @ mount.ego_from_sensor[:3, 0]
            for pose, mount in zip(global_from_egos, self._mounts, strict=True)
        ]
        return [(float(np.arctan2(axis[1], axis[0])), _HALF_FIELD) for axis in axes]

    def sweep(self, views: Sequence[View]) -> list[NDArray[Any]]:
        """Returns of one cycle as records, by radar; ``views`` has one entry per radar."""
        poses = [
            view.global_from_ego.matrix @ mount.ego_from_sensor for view, mount in zip(views, self._mounts, strict=True)
        ]
        rngs = [view.rng for view in views]
        targets = _with_false_targets(self._clusters([view.moment for view in views], poses, rngs), rngs, self._rain)
        reach = np.linalg.norm(targets.xy, axis=1)
        counts = np.bincount(targets.radar, minlength=len(rngs))
        fading, luck = _drawn(rngs, counts, lambda rng, n: (rng.normal(0, 2.5, n), rng.random(n)))
        # radar equation: the echo falls with the fourth power of the range
        echo = targets.rcs + fading + 40 * np.log10(45 / np.maximum(reach, 3.0))
        seen = np.flatnonzero((luck < 0.92 / (1 + np.exp(-(echo + 6) / 3.0))) & (reach > 0.8))
        nearest_first = [
            each[np.argsort(reach[each], kind="stable")][:MAX_RETURNS]
            for each in _parts(seen, targets.radar[seen], len(rngs))
        ]
        own = np.array([view.velocity @ pose[:3, :3] for view, pose in zip(views, poses, strict=True)])
        records = _records(targets.take(np.concatenate(nearest_first)), own, rngs)
        return np.split(records, np.cumsum([len(each) for each in nearest_first[:-1]]))

    def _clusters(
        self, moments: Sequence[Moment], poses: Sequence[Array], rngs: Sequence[np.random.Generator]
    ) -> _Targets:
        surfaces, count, beams = moments[0].surfaces, len(moments), len(self._directions)
        origins = np.array([pose[:3, 3] for pose in poses], np.float32)
        directions = np.concatenate([self._directions @ pose[:3, :3].T.astype(np.float32) for pose in poses])
        hits = cast_together(moments, origins, np.ascontiguousarray(directions.T))
        hit = np.flatnonzero(hits.found & (hits.distance < _MAX_RANGE))
        radar = hit // beams
        face = hits.face[hit]
        material, owner = surfaces.material[face], surfaces.owner[face]
        distance = hits.distance[hit].astype(np.float64)
        (luck,) = _drawn(rngs, np.bincount(radar, minlength=count), lambda rng, n: (rng.random(n),))
        solid = (material != Material.GROUND) | (luck < 0.012)
        radar, hit, material, owner, distance = radar[solid], hit[solid], material[solid], owner[solid], distance[solid]
        local = self._directions[hit % beams].astype(np.float64) * distance[:, None]
        bearing = np.arctan2(local[:, 1], local[:, 0])
        # one cluster per 2.5 m of an actor's depth, or per 1.5 m and 2.5 degrees of the scenery
        is_actor = owner >= 0
        depth = np.floor(distance / np.where(is_actor, 2.5, 1.5)).astype(np.int64)
        sideways = np.where(is_actor, 0, 64 + np.floor(bearing / np.radians(2.5))).astype(np.int64)
        whose = radar * (len(self._moves) + 1) + owner + 1
        cell = (whose * 128 + depth) * 128 + sideways
        _, first, member, size = np.unique(cell, return_index=True, return_inverse=True, return_counts=True)
        centre = np.stack([np.bincount(member, local[:, axis], len(first)) for axis in (0, 1)], axis=1) / size[:, None]
        radar, owner, material = radar[first], owner[first], material[first]
        actor = np.maximum(owner, 0)
        is_actor = owner >= 0
        counts = np.bincount(radar, minlength=count)
        fading, nearer, aside = _drawn(
            rngs, counts, lambda rng, n: (rng.normal(0, 4.0, n), rng.normal(0, 0.12, n), rng.normal(0, 0.006, n))
        )
        scene_rcs = 9.0 + OPTICS.radar_gain[material] + 1.5 * np.log2(size)
        rcs = np.where(is_actor, self._category_rcs[actor], scene_rcs) + fading
        speeds = np.stack([moment.pose.velocity for moment in moments])
        velocity = np.where(is_actor[:, None], speeds[radar, actor], 0.0)
        towards = centre / np.linalg.norm(centre, axis=1, keepdims=True)
        level = np.column_stack((velocity, np.zeros(len(velocity))))
        local_velocity = np.concatenate(
            [each @ pose[:3, :3] for each, pose in zip(_parts(level, radar, count), poses, strict=True)]
        )
        radial = np.einsum("ij,ij->i", local_velocity[:, :2], towards)
        across = np.column_stack((-towards[:, 1], towards[:, 0]))
        xy = centre + nearer[:, None] * towards + (aside * np.linalg.norm(centre, axis=1))[:, None] * across
        could_move = is_actor & self._moves[actor]
        return _Targets(
            radar, xy, rcs, radial, np.linalg.norm(velocity, axis=1), could_move, np.zeros(len(first), bool)
        )


def _drawn(
    rngs: Sequence[np.random.Generator],
    counts: NDArray[np.int64],
    draw: Callable[[np.random.Generator, int], tuple[NDArray[Any], ...]],
) -> list[NDArray[Any]]:
    """What ``draw`` returns for every radar's own generator and count, one radar after the other."""
    drawn = [draw(rng, int(count)) for rng, count in zip(rngs, counts, strict=True)]
    return [np.concatenate(values) for values in zip(*drawn, strict=True)]


def _parts(values: NDArray[Any], radar: NDArray[np.int64], count: int) -> list[NDArray[Any]]:
    """The values of each radar; ``radar`` is in ascending order."""
    return np.split(values, np.searchsorted(radar, np.arange(1, count)))


def _with_false_targets(targets: _Targets, rngs: Sequence[np.random.Generator], rain: Rain | None) -> _Targets:
    """Add what is not there: echoes that bounced twice, returns from rain gutters and gratings, noise, other radars."""
    bounced = DRY_GHOSTS if rain is None else rain.ghosts
    mean = DRY_CLUTTER if rain is None else rain.clutter
    noise = np.zeros(len(rngs), np.int64)
    ghosts, stretches, clutter = [], [], []
    start = 0
    for number, (rng, count) in enumerate(zip(rngs, np.bincount(targets.radar, minlength=len(rngs)), strict=True)):
        ghosts.append(start + np.flatnonzero(rng.random(count) < bounced))
        stretches.append(rng.uniform(1.5, 2.2, len(ghosts[-1])))
        noise[number] = rng.poisson(mean)
        if rain is not None and rng.random() < rain.interference:
            noise[number] += rng.poisson(_INTERFERENCE)
        n = int(noise[number])
        spread, bearing = rng.uniform(0.01, 1, n), rng.uniform(-_HALF_FIELD, _HALF_FIELD, n)
        clutter.append((spread, bearing, rng.random(n), rng.normal(0, 5.0, n), rng.normal(0, 3, n)))
        start += count
    ghost, stretch = np.concatenate(ghosts), np.concatenate(stretches)
    spread, bearing, luck, speed, rcs = (np.concatenate(values) for values in zip(*clutter, strict=True))
    reach = _MAX_RANGE * np.sqrt(spread)
    wild = np.where(luck < 0.2, speed, 0.0)
    mirrored = targets.take(ghost)
    # clutter is told to be as strong as it takes to be received at its range
    every = _Targets(
        np.concatenate((targets.radar, mirrored.radar, np.repeat(np.arange(len(rngs)), noise))),
        np.concatenate(
            (
                targets.xy,
                mirrored.xy * stretch[:, None],
                np.column_stack((reach * np.cos(bearing), reach * np.sin(bearing))),
            )
        ),
        np.concatenate((targets.rcs, mirrored.rcs - 3, rcs + 40 * np.log10(np.maximum(reach, 3) / 45))),
        np.concatenate((targets.radial, mirrored.radial * stretch, wild)),
        np.concatenate((targets.speed, mirrored.speed, np.abs(wild))),
        np.concatenate((targets.could_move, mirrored.could_move, np.zeros(len(wild), bool))),
        np.concatenate((targets.false, np.ones(len(ghost) + len(wild), bool))),
    )
    return every.take(np.argsort(every.radar, kind="stable"))


def _records(targets: _Targets, own: Array, rngs: Sequence[np.random.Generator]) -> NDArray[Any]:
    """Records of all ``targets``; ``own`` (radar, 3) is each radar's velocity in its own frame."""
    counts = np.bincount(targets.radar, minlength=len(rngs))
    measured, mistaken, even, clear, state, *luck = _drawn(
        rngs,
        counts,
        lambda rng, n: (
            rng.normal(0, 0.08, n), rng.normal(0, 0.2, n), rng.random(n), rng.random(n), rng.integers(0, 5, n),
            *rng.random((9, n)),
        ),
    )  # fmt: skip
    xy, reach = targets.xy, np.linalg.norm(targets.xy, axis=1)
    own = own[targets.radar]
    towards = xy / reach[:, None]
    radial = targets.radial + measured + np.where(targets.false, mistaken, 0.0)
    records = np.zeros(len(xy), RADAR_RECORD)
    records["x"], records["y"] = np.round(xy[:, 0] / 0.2) * 0.2, np.round(xy[:, 1] / 0.2) * 0.2
    records["id"] = np.arange(len(xy)) - (np.cumsum(counts) - counts)[targets.radar]
    records["rcs"] = np.clip(np.round(targets.rcs * 2) / 2, -10, 35)
    relative = radial[:, None] * towards - own[:, :2]
    records["vx"], records["vy"] = (np.round(relative[:, axis] * 4) / 4 for axis in (0, 1))
    records["vx_comp"], records["vy_comp"] = (radial * towards[:, axis] for axis in (0, 1))
    stationary = np.where(even < 0.3, 3, 1)
    across = np.abs(radial) < 0.4 * targets.speed
    closing = radial < -0.5
    moving = np.where(across, 6, np.where(closing & (own[:, 0] > -0.5), 2, 0))
    records["dyn_prop"] = np.where(targets.speed > 0.5, moving, np.where(targets.could_move, 7, stationary))
    records["is_quality_valid"] = 1
    records["ambig_state"] = np.where(clear < 0.984, 3, state)
    records["x_rms"] = 19 + (luck[0] < reach / 110) + (luck[1] < reach / 250)
    records["y_rms"] = 19 + np.minimum(np.floor(reach / 28 + luck[2] * 0.8), 3)
    doubtful = luck[3] < np.where(targets.false, 0.85, 0.3)
    invalid = _INVALID_STATES[np.searchsorted(_INVALID_UP_TO, luck[4], side="right")]
    records["invalid_state"] = np.where(doubtful, invalid, 0)
    records["pdh0"] = np.where(doubtful & (luck[5] < 0.75), 3, np.where(luck[6] < 0.008, 6, 1))
    records["vx_rms"] = 16 + (luck[7] < 0.24) + (luck[8] < 0.02)
    records["vy_rms"] = 3
    return records
