"""One scene from first to last sweep: sensor files and table rows."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avjepa.data.nuscenes.schema import CAMERA_CHANNELS, LIDAR_CHANNEL, RADAR_CHANNELS
from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.dataset.labels import KeyframeTruth, label_rows
from avjepa.synth.dataset.radar_file import radar_file
from avjepa.synth.dataset.settings import KEYFRAME_INTERVAL, Settings, scene_name
from avjepa.synth.dataset.tables import Row, Tables, linked, token
from avjepa.synth.dataset.truth import VisibilityProbe, boxes_at, count_points
from avjepa.synth.dataset.world import build_world
from avjepa.synth.sensors.camera import Camera, image_size, jpeg
from avjepa.synth.sensors.lidar import Lidar
from avjepa.synth.sensors.radar import Radars, View
from avjepa.synth.sensors.rig import CHANNELS, RigidPose
from avjepa.synth.street.ground import map_mask
from avjepa.synth.weather.camera import rainy_image
from avjepa.synth.weather.lidar import rainy_points, spray_behind
from avjepa.synth.weather.rain import Rain, rain_of

_RAIN_IN_WORDS = ((), ("light rain",), ("rain",), ("heavy rain",))
_LEAD = 0.3
"""Seconds from the scene's beginning to its first LiDAR sweep; other sensors may fire a little earlier."""
_EPOCH = 1_700_000_000_000_000
_SCENE_SPACING = 600_000_000
_LABEL_RANGE = 90.0
"""Objects further from the vehicle than this are not looked at, m."""


class SceneRecorder:
    """Drives through one scene and writes what the sensors give.

    Args:
        settings: of the dataset.
        index: of the scene.
        folder: receives ``samples/``, ``sweeps/`` and ``maps/``.
    """

    def __init__(self, settings: Settings, index: int, folder: Path) -> None:
        self._settings = settings
        self._index = index
        self._name = scene_name(index)
        self._folder = folder
        self._made: set[Path] = set()
        duration = _LEAD + KEYFRAME_INTERVAL * settings.keyframes + 0.2
        self._world = build_world(np.random.default_rng((settings.seed, index, 0)), duration, settings.image_width)
        world = self._world
        actors = world.cast.actors
        self._sizes = np.round([actor.size for actor in actors], 3).reshape(-1, 3) + 0.02
        self._size = image_size(settings.image_width)
        self._lidar = Lidar(world.mounts[LIDAR_CHANNEL])
        self._cameras = {
            c: Camera(world.mounts[c], settings.image_width, world.lighting, world.textures) for c in CAMERA_CHANNELS
        }
        categories = tuple(actor.category for actor in actors)
        self._rain = rain_of(settings.rain)
        self._radars = Radars([world.mounts[c] for c in RADAR_CHANNELS], categories, world.cast.moves, self._rain)
        self._probe = VisibilityProbe(np.random.default_rng((settings.seed, index, 1)), actors)
        moments = settings.keyframes * settings.sweeps_per_keyframe
        self._jitter = {c: self._rng(c + " clock", 0).integers(-900, 900, moments) for c in CHANNELS}
        self._ego_poses: dict[int, RigidPose] = {}
        self._data: dict[str, list[Row]] = {channel: [] for channel in CHANNELS}
        self._poses: list[Row] = []

    def record(self) -> Tables:
        """Write all files of the scene and return its rows, by table."""
        settings = self._settings
        per_keyframe = settings.sweeps_per_keyframe
        truths, samples = [], []
        for moment in range((settings.keyframes - 1) * per_keyframe + 1):
            is_key = moment % per_keyframe == 0
            sample = token(settings.seed, self._name, "sample", -(-moment // per_keyframe))
            lidar_time = self._stamp(LIDAR_CHANNEL, moment)
            if is_key:
                samples.append({"token": sample, "timestamp": lidar_time, "scene_token": self._token("scene")})
                truths.append(self._keyframe(moment, sample))
            else:
                self._lidar_sweep(moment, sample, is_key)
                self._radar_sweeps(moment, sample, is_key)
                if settings.camera_sweeps:
                    for channel in CAMERA_CHANNELS:
                        self._image(channel, moment, sample, is_key, None)
        return self._tables(samples, truths)

    def _token(self, *parts: object) -> str:
        return token(self._settings.seed, self._name, *parts)

    def _rng(self, channel: str, moment: int) -> np.random.Generator:
        return np.random.default_rng((self._settings.seed, self._index, 2, zlib.crc32(channel.encode()), moment))

    def _stamp(self, channel: str, moment: int) -> int:
        """Time of a sensor's sweep in microseconds; sensors are not quite regular."""
        regular = (
            _LEAD + moment * KEYFRAME_INTERVAL / self._settings.sweeps_per_keyframe + self._world.mounts[channel].delay
        )
        return _EPOCH + self._index * _SCENE_SPACING + round(regular * 1e6) + int(self._jitter[channel][moment])

    def _seconds(self, stamp: int) -> float:
        return (stamp - _EPOCH - self._index * _SCENE_SPACING) * 1e-6

    def _ego(self, stamp: int) -> RigidPose:
        if stamp not in self._ego_poses:
            self._ego_poses[stamp] = self._world.global_from_ego(self._seconds(stamp))
        return self._ego_poses[stamp]

    def _write(
        self, channel: str, moment: int, sample: str, is_key: bool, content: bytes, suffix: str, size: tuple[int, int]
    ) -> None:
        stamp = self._stamp(channel, moment)
        filename = f"{'samples' if is_key else 'sweeps'}/{channel}/{self._name}__{channel}__{stamp}.{suffix}"
        path = self._folder / filename
        if path.parent not in self._made:
            path.parent.mkdir(parents=True)
            self._made.add(path.parent)
        path.write_bytes(content)
        this = self._token(channel, moment)
        pose = self._ego(stamp)
        self._poses.append(
            {
                "token": this,
                "timestamp": stamp,
                "rotation": list(map(float, pose.rotation.elements)),
                "translation": list(pose.translation),
            }
        )
        self._data[channel].append(
            {
                "token": this,
                "sample_token": sample,
                "ego_pose_token": this,
                "calibrated_sensor_token": self._token("calibration", channel),
                "timestamp": stamp,
                "fileformat": suffix.split(".")[0],
                "is_key_frame": is_key,
                "height": size[1],
                "width": size[0],
                "filename": filename,
            }
        )

    def _lidar_sweep(self, moment: int, sample: str, is_key: bool) -> NDArray[Any]:
        stamp = self._stamp(LIDAR_CHANNEL, moment)
        time, pose = self._seconds(stamp), self._ego(stamp)
        street = self._world.caster.at(time, np.array(pose.translation))
        points = self._lidar.sweep(street, pose, self._rng(LIDAR_CHANNEL, moment))
        if self._rain is not None:
            points = self._in_the_rain(points, time, pose, self._rain, self._rng(f"{LIDAR_CHANNEL} rain", moment))
        self._write(LIDAR_CHANNEL, moment, sample, is_key, points.tobytes(), "pcd.bin", (0, 0))
        return points

    def _in_the_rain(
        self, points: FloatArray, time: float, pose: RigidPose, rain: Rain, rng: np.random.Generator
    ) -> FloatArray:
        mount, actors = self._world.mounts[LIDAR_CHANNEL], self._world.cast.motion.at(time)
        global_from_sensor = pose.matrix @ mount.ego_from_sensor
        boxes = boxes_at(self._world.cast.actors, self._sizes, actors)
        spray = spray_behind(boxes, actors.velocity, global_from_sensor[:3, 3], rain, rng)
        local = (spray - global_from_sensor[:3, 3]) @ global_from_sensor[:3, :3]
        return rainy_points(points, local.astype(np.float32), -float(mount.translation[2]), rain, rng)

    def _radar_sweeps(self, moment: int, sample: str, is_key: bool) -> list[NDArray[Any]]:
        world = self._world
        stamps = [self._stamp(channel, moment) for channel in RADAR_CHANNELS]
        poses = [self._ego(stamp) for stamp in stamps]
        views = []
        sectors = self._radars.sectors(poses)
        for channel, stamp, pose, sector in zip(RADAR_CHANNELS, stamps, poses, sectors, strict=True):
            time = self._seconds(stamp)
            street = world.caster.at(time, np.array(pose.translation), sector, outlines=True)
            views.append(View(street, pose, world.sensor_velocity(channel, time), self._rng(channel, moment)))
        sweeps = self._radars.sweep(views)
        for channel, records in zip(RADAR_CHANNELS, sweeps, strict=True):
            self._write(channel, moment, sample, is_key, radar_file(records), "pcd", (0, 0))
        return sweeps

    def _image(
        self, channel: str, moment: int, sample: str, is_key: bool, candidates: NDArray[np.int64] | None
    ) -> None:
        world = self._world
        stamp = self._stamp(channel, moment)
        time, pose = self._seconds(stamp), self._ego(stamp)
        street = world.caster.at(time, np.array(pose.translation), self._cameras[channel].sector(pose))
        image = self._cameras[channel].render(street, pose, self._rng(channel, moment))
        if self._rain is not None:
            image = rainy_image(image, self._rain, self._rng(f"{channel} rain", moment))
        self._write(channel, moment, sample, is_key, jpeg(image), "jpg", self._size)
        if candidates is not None:
            self._probe.look(street, world.mounts[channel], self._size, pose, candidates)

    def _keyframe(self, moment: int, sample: str) -> KeyframeTruth:
        world = self._world
        actors = world.cast.actors
        stamp = self._stamp(LIDAR_CHANNEL, moment)
        pose, ego = world.cast.motion.at(self._seconds(stamp)), self._ego(stamp)
        boxes = boxes_at(actors, self._sizes, pose)
        distance = np.hypot(*(boxes.centre[:, :2] - ego.translation[:2]).T)
        candidates = np.flatnonzero(distance < _LABEL_RANGE)
        lidar_points, radar_points = np.zeros(len(actors), np.int64), np.zeros(len(actors), np.int64)
        points = self._in_global(LIDAR_CHANNEL, moment, self._lidar_sweep(moment, sample, True)[:, :3])
        returns = [
            self._in_global(channel, moment, np.column_stack([records[axis] for axis in "xyz"]))
            for channel, records in zip(RADAR_CHANNELS, self._radar_sweeps(moment, sample, True), strict=True)
        ]
        lidar_points[candidates] = count_points(boxes, candidates, points)
        radar_points[candidates] = count_points(boxes, candidates, np.concatenate(returns))
        for channel in CAMERA_CHANNELS:
            self._image(channel, moment, sample, True, candidates)
        return KeyframeTruth(boxes, pose.velocity, lidar_points, radar_points, self._probe.levels(), distance)

    def _in_global(self, channel: str, moment: int, points: NDArray[Any]) -> Array:
        """Points as written to file, in the global frame."""
        mount = self._world.mounts[channel]
        pose = self._ego(self._stamp(channel, moment)).matrix @ mount.ego_from_sensor
        placed: Array = points.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
        return placed

    def _tables(self, samples: list[Row], truths: list[KeyframeTruth]) -> Tables:
        world = self._world
        instances, annotations = label_rows(self._token, world.cast.actors, samples, truths)
        mask = self._folder / "maps" / f"{self._token('map')}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        map_mask(world.ground).save(mask)
        calibrations = [
            {
                "token": self._token("calibration", channel),
                "sensor_token": token("sensor", channel),
                "translation": list(mount.translation),
                "rotation": list(map(float, mount.rotation.elements)),
                "camera_intrinsic": [list(row) for row in mount.intrinsic],
            }
            for channel, mount in world.mounts.items()
        ]
        scene = {
            "token": self._token("scene"),
            "log_token": self._token("log"),
            "nbr_samples": len(samples),
            "name": self._name,
            "first_sample_token": samples[0]["token"],
            "last_sample_token": samples[-1]["token"],
            "description": ", ".join((world.layout.kind, world.lighting.kind, *_RAIN_IN_WORDS[self._settings.rain])),
        }
        return {
            "scene": [scene],
            "sample": linked(samples),
            "sample_data": [row for rows in self._data.values() for row in linked(rows)],
            "ego_pose": self._poses,
            "calibrated_sensor": calibrations,
            "log": [
                {
                    "token": self._token("log"),
                    "logfile": self._name,
                    "vehicle": "synthetic",
                    "date_captured": "2023-11-14",
                    "location": "synthetic",
                }
            ],
            "map": [
                {
                    "token": self._token("map"),
                    "category": "semantic_prior",
                    "filename": f"maps/{mask.name}",
                    "log_tokens": [self._token("log")],
                }
            ],
            "instance": instances,
            "sample_annotation": annotations,
        }
