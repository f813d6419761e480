"""A tiny dataset in nuScenes format whose truth is known: landmarks at rest, one radar target at constant velocity."""

import json
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from nuscenes import NuScenes
from PIL import Image
from pyquaternion import Quaternion

from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS, write_lidar, write_radar

VERSION = "v1.0-tiny"
IMAGE_SIZE = (90, 160)
INTRINSIC = [[100.0, 0.0, 80.0], [0.0, 100.0, 45.0], [0.0, 0.0, 1.0]]
TARGET_START, TARGET_VELOCITY = np.array([320.0, 1008.0, 0.5]), np.array([4.0, -2.0, 0.0])
EPOCH = 1_600_000_000_000_000

SENSORS = {
    # channel: (modality, translation, rotation)
    "LIDAR_TOP": ("lidar", [0.9, 0.0, 1.8], Quaternion(axis=[0, 0, 1], degrees=-90.0)),
    "CAM_FRONT": ("camera", [1.7, 0.1, 1.5], Quaternion(matrix=np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]))),
    "CAM_BACK": ("camera", [0.1, 0.0, 1.5], Quaternion(matrix=np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0]]))),
    "RADAR_FRONT": ("radar", [3.4, 0.0, 0.5], Quaternion(axis=[0, 0, 1], degrees=2.0)),
    "RADAR_BACK_LEFT": ("radar", [-0.6, 0.6, 0.5], Quaternion(axis=[0, 0, 1], degrees=95.0)),
}


def landmarks() -> np.ndarray:
    """(40, 3) points at rest in the global frame."""
    random = np.random.default_rng(7)
    return np.array([305.0, 1003.0, 1.0]) + random.uniform([-30, -30, -1], [30, 30, 4], (40, 3))


def ego_pose(seconds: float) -> tuple[np.ndarray, Quaternion]:
    """The vehicle drives a curve on a tilted road."""
    turn = Quaternion(axis=[0, 0, 1], radians=0.3 + 0.4 * seconds)
    tilt = Quaternion(axis=[0, 1, 0], radians=0.02) * Quaternion(axis=[1, 0, 0], radians=-0.01)
    return np.array([300 + 6 * seconds, 1000 + 2 * seconds, 0.1 * seconds]), turn * tilt


def to_sensor(points: np.ndarray, seconds: float, channel: str) -> np.ndarray:
    """Global points in a sensor's frame, by pyquaternion."""
    position, heading = ego_pose(seconds)
    _, origin, rotation = SENSORS[channel]
    in_ego = (points - position) @ heading.rotation_matrix
    return (in_ego - np.array(origin)) @ rotation.rotation_matrix


def _lidar_cloud(seconds: float) -> np.ndarray:
    points = to_sensor(landmarks(), seconds, "LIDAR_TOP")
    near = np.array([[0.9, -0.9, 0.0], [0.2, 0.3, -1.0], [0.5, 1.01, 0.0], [-1.0, 0.0, 0.0]])
    cloud = np.concatenate((points, near))
    extra = np.stack((np.arange(len(cloud)) * 5 % 256, np.arange(len(cloud)) % 32), axis=1)
    return np.concatenate((cloud, extra), axis=1).astype(np.float32)


def _radar_cloud(seconds: float, channel: str) -> np.ndarray:
    target = TARGET_START + TARGET_VELOCITY * seconds
    position = to_sensor(np.concatenate((landmarks()[:6], target[None])), seconds, channel)
    _, heading = ego_pose(seconds)
    rotation = (heading * SENSORS[channel][2]).rotation_matrix
    cloud = np.zeros((7, 18), np.float32)
    column = RADAR_FILE_FIELDS.index
    cloud[:, :3] = position
    cloud[6, [column("vx_comp"), column("vy_comp")]] = (TARGET_VELOCITY @ rotation)[:2]
    cloud[:, column("rcs")] = np.arange(7) * 2.5 - 5
    cloud[:, column("invalid_state")] = [0, 4, 0, 1, 17, 0, 0]
    cloud[:, column("ambig_state")] = [3, 3, 2, 3, 3, 3, 3]
    cloud[:, column("dyn_prop")] = [1, 1, 3, 1, 7, 7, 0]
    cloud[:, column("id")] = np.arange(7) + 300
    return cloud


def _image(seconds: float, channel: str) -> Image.Image:
    points = to_sensor(landmarks(), seconds, channel)
    pixels = np.full((*IMAGE_SIZE, 3), 30, np.uint8)
    for x, y, z in points[points[:, 2] > 1.0]:
        u, v = int(np.floor(100 * x / z + 80)), int(np.floor(100 * y / z + 45))
        if 3 <= u < IMAGE_SIZE[1] - 3 and 3 <= v < IMAGE_SIZE[0] - 3:
            pixels[v - 2 : v + 3, u - 2 : u + 3] = 255
    return Image.fromarray(pixels)


def _times(channel: str) -> list[tuple[float, bool, int]]:
    """(seconds, is keyframe, number of the keyframe) of a channel's records."""
    if channel == "LIDAR_TOP":
        return [(k / 10, k % 5 == 0, min((k + 2) // 5, 3)) for k in range(18)]
    if channel.startswith("CAM"):
        return [(k / 2 + shift, key, k) for k in range(4) for shift, key in ((-0.04, True), (0.01, False))]
    return [(k / 10 + 0.013, k % 5 == 0, min((k + 2) // 5, 3)) for k in range(18)]


def build(root: Path, channels: tuple[str, ...] = tuple(SENSORS)) -> Path:
    """Two scenes of four keyframes, 2 Hz, with LiDAR and radar at 10 Hz."""
    tables: dict[str, list[dict]] = defaultdict(list)
    for number, name in enumerate(["vehicle.car", "human.pedestrian.adult", "movable_object.barrier", "animal"]):
        tables["category"].append({"token": f"category{number}", "name": name, "description": ""})
    tables["attribute"].append({"token": "attribute0", "name": "vehicle.moving", "description": ""})
    for level in "1234":
        tables["visibility"].append({"token": level, "level": f"v{level}", "description": ""})
    tables["log"].append(
        {"token": "log0", "logfile": "drive", "vehicle": "v", "date_captured": "2020-09-13", "location": "tiny-town"}
    )
    (root / "maps").mkdir(parents=True)
    Image.new("L", (8, 8)).save(root / "maps" / "mask.png")
    tables["map"].append(
        {"token": "map0", "log_tokens": ["log0"], "category": "semantic_prior", "filename": "maps/mask.png"}
    )
    for channel in channels:
        modality, origin, rotation = SENSORS[channel]
        tables["sensor"].append({"token": f"sensor-{channel}", "channel": channel, "modality": modality})
        tables["calibrated_sensor"].append(
            {
                "token": f"calibration-{channel}", "sensor_token": f"sensor-{channel}", "translation": origin,
                "rotation": list(rotation.elements), "camera_intrinsic": INTRINSIC if modality == "camera" else [],
            }
        )  # fmt: skip
    for scene in range(2):
        _add_scene(root, tables, scene, channels)
    (root / VERSION).mkdir()
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows, indent=0))
    (root / VERSION / "splits.json").write_text(json.dumps({"train": ["scene-0000"], "val": ["scene-0001"]}))
    return root


def _add_scene(root: Path, tables: dict[str, list[dict]], scene: int, channels: tuple[str, ...]) -> None:
    start = EPOCH + scene * 100_000_000
    samples = [f"sample-{scene}-{k}" for k in range(4)]
    tables["scene"].append(
        {
            "token": f"scene{scene}", "log_token": "log0", "nbr_samples": 4, "first_sample_token": samples[0],
            "last_sample_token": samples[-1], "name": f"scene-{scene:04d}", "description": "",
        }
    )  # fmt: skip
    for k, token in enumerate(samples):
        links = {"prev": samples[k - 1] if k else "", "next": samples[k + 1] if k < 3 else ""}
        tables["sample"].append(
            {"token": token, "timestamp": start + k * 500_000, "scene_token": f"scene{scene}", **links}
        )
    for channel in channels:
        times = _times(channel)
        tokens = [f"data-{scene}-{channel}-{k}" for k in range(len(times))]
        for k, (seconds, is_key, keyframe) in enumerate(times):
            position, heading = ego_pose(seconds)
            tables["ego_pose"].append(
                {
                    "token": f"pose-{tokens[k]}", "timestamp": start + round(seconds * 1e6),
                    "rotation": list(heading.elements), "translation": list(position),
                }
            )  # fmt: skip
            suffix = {"lidar": "pcd.bin", "camera": "jpg", "radar": "pcd"}[SENSORS[channel][0]]
            name = f"{'samples' if is_key else 'sweeps'}/{channel}/{tokens[k]}.{suffix}"
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == "pcd.bin":
                write_lidar(path, _lidar_cloud(seconds))
            elif suffix == "pcd":
                write_radar(path, _radar_cloud(seconds, channel))
            else:
                _image(seconds, channel).save(path, quality=95)
            height, width = IMAGE_SIZE if suffix == "jpg" else (0, 0)
            tables["sample_data"].append(
                {
                    "token": tokens[k], "sample_token": samples[keyframe], "ego_pose_token": f"pose-{tokens[k]}",
                    "calibrated_sensor_token": f"calibration-{channel}", "timestamp": start + round(seconds * 1e6),
                    "fileformat": suffix, "is_key_frame": is_key, "height": height, "width": width, "filename": name,
                    "prev": tokens[k - 1] if k else "", "next": tokens[k + 1] if k + 1 < len(times) else "",
                }
            )  # fmt: skip
    # a car, a pedestrian who is hidden in keyframe 2, a barrier seen once, an animal
    for number, frames in enumerate(([0, 1, 2, 3], [0, 1, 3], [2], [0, 1])):
        tokens = {k: f"box-{scene}-{number}-{k}" for k in frames}
        tables["instance"].append(
            {
                "token": f"instance-{scene}-{number}", "category_token": f"category{number}",
                "nbr_annotations": len(frames), "first_annotation_token": tokens[frames[0]],
                "last_annotation_token": tokens[frames[-1]],
            }
        )  # fmt: skip
        for place, k in enumerate(frames):
            previous = tokens[frames[place - 1]] if place else ""
            following = tokens[frames[place + 1]] if place + 1 < len(frames) else ""
            tables["sample_annotation"].append(
                {
                    "token": tokens[k], "sample_token": samples[k], "instance_token": f"instance-{scene}-{number}",
                    "visibility_token": "" if number == 3 else str(number + 1), "attribute_tokens": [],
                    "translation": [310.0 + 3 * number + 1.5 * k, 1010.0 - 4 * number, 0.9], "size": [1.8, 4.4, 1.5],
                    "rotation": list(Quaternion(axis=[0, 0, 1], radians=0.7 * number).elements),
                    "prev": previous, "next": following, "num_lidar_pts": 10 * number + k, "num_radar_pts": number,
                }
            )  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset. Not to be changed: see ``copy``."""
    return build(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the dataset for tests that break it."""
    root = tmp_path / "copy"
    shutil.copytree(tiny, root, ignore=shutil.ignore_patterns(".avjepa-*"))
    return root


@pytest.fixture(scope="session")
def devkit(tiny: Path) -> NuScenes:
    return NuScenes(VERSION, str(tiny), verbose=False)


@pytest.fixture(scope="session")
def real_metadata(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 81 real keyframes of which most files are missing; a copy, so that no cache is written beside them."""
    return _linked(realdata / "nuscenes_minival_metadata", tmp_path_factory.mktemp("minival"))


@pytest.fixture(scope="session")
def real_keyframe(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole real keyframe."""
    return _linked(realdata / "nuscenes_keyframe", tmp_path_factory.mktemp("keyframe"))


def _linked(source: Path, root: Path) -> Path:
    for folder in source.iterdir():
        if folder.name == "v1.0-mini":
            (root / folder.name).mkdir()
            for table in folder.iterdir():
                shutil.copyfile(table, root / folder.name / table.name)
        else:
            (root / folder.name).symlink_to(folder)
    return root
