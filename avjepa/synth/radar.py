"""Automotive radars like the Continental ARS 408 of nuScenes, and their file format.

A radar measures range, bearing and radial speed of clusters. ``vx``, ``vy`` hold the velocity relative to the sensor
(its own motion included), ``vx_comp``, ``vy_comp`` the radial speed over ground along the line of sight. Positions come
in steps of .2 m, relative velocities of .25 m/s, cross-sections of .5 dB, as in the recordings.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array
from avjepa.synth.casting import Moment
from avjepa.synth.materials import OPTICS, Material
from avjepa.synth.rig import Mount, RigidPose

RECORD = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("dyn_prop", "i1"),
        ("id", "<i2"),
        ("rcs", "<f4"),
        ("vx", "<f4"),
        ("vy", "<f4"),
        ("vx_comp", "<f4"),
        ("vy_comp", "<f4"),
        ("is_quality_valid", "i1"),
        ("ambig_state", "i1"),
        ("x_rms", "i1"),
        ("y_rms", "i1"),
        ("invalid_state", "i1"),
        ("pdh0", "i1"),
        ("vx_rms", "i1"),
        ("vy_rms", "i1"),
    ]
)
"""One return: 43 bytes, 18 fields in the order of the nuScenes radar files."""

MAX_RETURNS = 125
_MAX_RANGE = 100.0
_HALF_FIELD = np.radians(60.0)
_TRAILING_BYTES = 3726
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
# share of returns by the sensor's own validity code (0 = valid) and by false-alarm class
_INVALID_STATES, _INVALID_SHARE = np.array((4, 7, 9, 11, 16)), np.array((0.38, 0.02, 0.18, 0.26, 0.16))


@dataclass(frozen=True)
class _Targets:
    """Candidate clusters in the sensor frame."""

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


class Radar:
    """One of the five radars.

    Args:
        mount: calibration.
        categories: nuScenes category name of every actor.
        moves: which actors move at some time of the scene.
    """

    def __init__(self, mount: Mount, categories: tuple[str, ...], moves: NDArray[np.bool_]) -> None:
        self._mount = mount
        self._category_rcs = np.array([_CATEGORY_RCS[name] for name in categories])
        self._moves = moves
        azimuth, elevation = np.meshgrid(
            np.linspace(-_HALF_FIELD, _HALF_FIELD, 121), np.radians((-3.0, -1.2, 0.3, 1.6, 4.0)), indexing="ij"
        )
        directions = np.stack(
            (np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)), -1
        )
        self._directions = directions.reshape(-1, 3).astype(np.float32)

    def sweep(
        self, moment: Moment, global_from_ego: RigidPose, sensor_velocity: Array, rng: np.random.Generator
    ) -> NDArray[Any]:
        """Returns of one cycle as records.

        Args:
            moment: the street at the radar's own time.
            global_from_ego: pose of the vehicle at that time.
            sensor_velocity: (3,) velocity of the sensor over ground, global frame, m/s.
            rng: noise.
        """
        global_from_sensor = global_from_ego.matrix @ self._mount.ego_from_sensor
        rotation = global_from_sensor[:3, :3]
        own = sensor_velocity @ rotation
        targets = _with_false_targets(self._clusters(moment, global_from_sensor, rng), rng)
        reach = np.linalg.norm(targets.xy, axis=1)
        # radar equation: the echo falls with the fourth power of the range
        echo = targets.rcs + rng.normal(0, 2.5, len(reach)) + 40 * np.log10(45 / np.maximum(reach, 3.0))
        seen = np.flatnonzero((rng.random(len(reach)) < 0.92 / (1 + np.exp(-(echo + 6) / 3.0))) & (reach > 0.8))
        seen = seen[np.argsort(reach[seen], kind="stable")][:MAX_RETURNS]
        return _records(targets, seen, own, rng)

    def _clusters(self, moment: Moment, global_from_sensor: Array, rng: np.random.Generator) -> _Targets:
        origin, rotation = global_from_sensor[:3, 3], global_from_sensor[:3, :3]
        directions = self._directions @ rotation.T.astype(np.float32)
        hits = moment.cast(origin.astype(np.float32), directions)
        hit = np.flatnonzero(hits.found & (hits.distance < _MAX_RANGE))
        face = hits.face[hit]
        material, owner = moment.surfaces.material[face], moment.surfaces.owner[face]
        distance = hits.distance[hit].astype(np.float64)
        solid = (material != Material.GROUND) | (rng.random(len(hit)) < 0.012)
        hit, face, material, owner, distance = hit[solid], face[solid], material[solid], owner[solid], distance[solid]
        local = self._directions[hit].astype(np.float64) * distance[:, None]
        bearing = np.arctan2(local[:, 1], local[:, 0])
        # one cluster per 2.5 m of an actor's depth, or per 1.5 m and 2.5 degrees of the scenery
        is_actor = owner >= 0
        depth = np.floor(distance / np.where(is_actor, 2.5, 1.5)).astype(np.int64)
        sideways = np.where(is_actor, 0, 64 + np.floor(bearing / np.radians(2.5))).astype(np.int64)
        cell = ((owner.astype(np.int64) + 1) * 128 + depth) * 128 + sideways
        _, first, member, size = np.unique(cell, return_index=True, return_inverse=True, return_counts=True)
        centre = np.stack([np.bincount(member, local[:, axis], len(first)) for axis in (0, 1)], axis=1) / size[:, None]
        owner, material = owner[first], material[first]
        actor = np.maximum(owner, 0)
        is_actor = owner >= 0
        scene_rcs = 9.0 + OPTICS.radar_gain[material] + 1.5 * np.log2(size)
        rcs = np.where(is_actor, self._category_rcs[actor], scene_rcs) + rng.normal(0, 4.0, len(first))
        velocity = np.where(is_actor[:, None], moment.pose.velocity[actor], 0.0)
        towards = centre / np.linalg.norm(centre, axis=1, keepdims=True)
        local_velocity = np.column_stack((velocity, np.zeros(len(velocity)))) @ rotation
        radial = np.einsum("ij,ij->i", local_velocity[:, :2], towards)
        spread = np.column_stack(
            (rng.normal(0, 0.12, len(first)), rng.normal(0, 0.006, len(first)) * np.linalg.norm(centre, axis=1))
        )
        across = np.column_stack((-towards[:, 1], towards[:, 0]))
        xy = centre + spread[:, :1] * towards + spread[:, 1:] * across
        return _Targets(
            xy, rcs, radial, np.linalg.norm(velocity, axis=1), is_actor & self._moves[actor], np.zeros(len(first), bool)
        )


def _with_false_targets(targets: _Targets, rng: np.random.Generator) -> _Targets:
    """Add what is not there: echoes that bounced twice, and returns from rain gutters, gratings and noise."""
    count = len(targets.rcs)
    ghosts = np.flatnonzero(rng.random(count) < 0.04)
    stretch = rng.uniform(1.5, 2.2, len(ghosts))
    noise = int(rng.poisson(9))
    reach, bearing = _MAX_RANGE * np.sqrt(rng.uniform(0.01, 1, noise)), rng.uniform(-_HALF_FIELD, _HALF_FIELD, noise)
    clutter = np.column_stack((reach * np.cos(bearing), reach * np.sin(bearing)))
    wild = np.where(rng.random(noise) < 0.2, rng.normal(0, 5.0, noise), 0.0)
    # clutter is told to be as strong as it takes to be received at its range
    return _Targets(
        np.concatenate((targets.xy, targets.xy[ghosts] * stretch[:, None], clutter)),
        np.concatenate(
            (targets.rcs, targets.rcs[ghosts] - 3, rng.normal(0, 3, noise) + 40 * np.log10(np.maximum(reach, 3) / 45))
        ),
        np.concatenate((targets.radial, targets.radial[ghosts] * stretch, wild)),
        np.concatenate((targets.speed, targets.speed[ghosts], np.abs(wild))),
        np.concatenate((targets.could_move, targets.could_move[ghosts], np.zeros(noise, bool))),
        np.concatenate((targets.false, np.ones(len(ghosts) + noise, bool))),
    )


def _records(targets: _Targets, seen: NDArray[np.int64], own: Array, rng: np.random.Generator) -> NDArray[Any]:
    count = len(seen)
    xy, reach = targets.xy[seen], np.linalg.norm(targets.xy[seen], axis=1)
    towards = xy / reach[:, None]
    false = targets.false[seen]
    radial = targets.radial[seen] + rng.normal(0, 0.08, count) + np.where(false, rng.normal(0, 0.2, count), 0.0)
    speed = targets.speed[seen]
    records = np.zeros(count, RECORD)
    records["x"], records["y"] = np.round(xy[:, 0] / 0.2) * 0.2, np.round(xy[:, 1] / 0.2) * 0.2
    records["id"] = np.arange(count)
    records["rcs"] = np.clip(np.round(targets.rcs[seen] * 2) / 2, -10, 35)
    relative = radial[:, None] * towards - own[:2]
    records["vx"], records["vy"] = (np.round(relative[:, axis] * 4) / 4 for axis in (0, 1))
    records["vx_comp"], records["vy_comp"] = (radial * towards[:, axis] for axis in (0, 1))
    stationary = np.where(rng.random(count) < 0.3, 3, 1)
    across = np.abs(radial) < 0.4 * speed
    closing = radial < -0.5
    moving = np.where(across, 6, np.where(closing & (own[0] > -0.5), 2, 0))
    records["dyn_prop"] = np.where(speed > 0.5, moving, np.where(targets.could_move[seen], 7, stationary))
    records["is_quality_valid"] = 1
    records["ambig_state"] = np.where(rng.random(count) < 0.984, 3, rng.integers(0, 5, count))
    records["x_rms"] = 19 + (rng.random(count) < reach / 110) + (rng.random(count) < reach / 250)
    records["y_rms"] = 19 + np.minimum(np.floor(reach / 28 + rng.random(count) * 0.8), 3)
    doubtful = rng.random(count) < np.where(false, 0.85, 0.3)
    records["invalid_state"] = np.where(doubtful, rng.choice(_INVALID_STATES, count, p=_INVALID_SHARE), 0)
    records["pdh0"] = np.where(doubtful & (rng.random(count) < 0.75), 3, np.where(rng.random(count) < 0.008, 6, 1))
    records["vx_rms"] = 16 + (rng.random(count) < 0.24) + (rng.random(count) < 0.02)
    records["vy_rms"] = 3
    return records


def radar_file(records: NDArray[Any]) -> bytes:
    """The bytes of a nuScenes radar file: text header, records, and the zeros that its readers expect at the end.

    A cycle without returns holds one record at NaN, as nuScenes marks an empty cloud.
    """
    if len(records) == 0:
        records = np.zeros(1, RECORD)
        records["x"] = records["y"] = records["z"] = np.nan
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
        f"FIELDS {' '.join(RECORD.names or ())}\n"
        "SIZE 4 4 4 1 2 4 4 4 4 4 1 1 1 1 1 1 1 1\nTYPE F F F I I F F F F F I I I I I I I I\n"
        "COUNT 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n"
        f"WIDTH {len(records)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(records)}\nDATA binary\n"
    )
    return header.encode("ascii") + records.astype(RECORD).tobytes() + bytes(_TRAILING_BYTES)
