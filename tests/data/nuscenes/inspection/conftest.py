"""A small street whose truth is known: cars that drive in all directions, and one thing of every other class."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyquaternion import Quaternion

from avjepa.data.files.pointfiles import write_lidar

VERSION = "v1.0-street"
SCENES, KEYFRAMES, CARS, POINTS = 2, 6, 8, 30
EPOCH = 1_600_000_000_000_000
CAMERA = Quaternion(matrix=np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]))
LIDAR = Quaternion(axis=[0, 0, 1], degrees=-90)
MOUNTING = np.array([0.9, 0.0, 1.8])
STANDING = {
    "vehicle.truck": (2.5, 7.0, 3.0), "vehicle.construction": (2.6, 6.0, 3.0), "vehicle.bus.rigid": (2.9, 11.0, 3.4),
    "vehicle.trailer": (2.5, 12.0, 3.8), "movable_object.barrier": (2.5, 0.5, 1.0), "vehicle.bicycle": (0.6, 1.7, 1.3),
    "vehicle.motorcycle": (0.8, 2.1, 1.5), "human.pedestrian.adult": (0.7, 0.7, 1.8),
    "movable_object.trafficcone": (0.4, 0.4, 1.0),
}  # fmt: skip

Rows = list[dict[str, Any]]


def _ego(seconds: float) -> tuple[np.ndarray, Quaternion]:
    """On a circle of 16 m radius, at 4.8 m/s."""
    heading = 0.2 + 0.3 * seconds
    position = np.array([400 + 16 * np.sin(heading), 900 - 16 * np.cos(heading), 0.0])
    return position, Quaternion(axis=[0, 0, 1], radians=heading)


def _objects(seconds: float) -> Iterator[tuple[str, np.ndarray, tuple[float, float, float], float]]:
    """(category, position, width-length-height, yaw) of everything; the cars drive along their yaw at 8 m/s."""
    for car in range(CARS):
        yaw = 0.4 + car * np.pi / 4
        start = np.array([400.0 + 25 * np.cos(car), 900 + 25 * np.sin(car), 0.9])
        yield "vehicle.car", start + 8 * seconds * np.array([np.cos(yaw), np.sin(yaw), 0]), (1.9, 4.6, 1.6), yaw
    for number, (category, size) in enumerate(STANDING.items()):
        yield category, np.array([370.0 + 7 * number, 935.0, 1.0]), size, 0.3 * number


def _cloud(seconds: float, random: np.random.Generator) -> np.ndarray:
    """The same number of points in every object, as a LiDAR file holds them."""
    parts = [np.array([400, 900, 0]) + random.uniform([-40, -15, -0.1], [40, 15, 0.0], (200, 3))]
    for _, position, (width, length, height), yaw in _objects(seconds):
        inside = random.uniform(-0.49, 0.49, (POINTS, 3)) * [length, width, height]
        parts.append(position + inside @ Quaternion(axis=[0, 0, 1], radians=yaw).rotation_matrix.T)
    position, heading = _ego(seconds)
    points = (np.concatenate(parts) - position) @ heading.rotation_matrix
    points = (points - MOUNTING) @ LIDAR.rotation_matrix
    extra = np.stack((random.integers(0, 256, len(points)), random.integers(0, 32, len(points))), axis=1)
    return np.concatenate((points, extra), axis=1).astype(np.float32)


def _build(root: Path) -> Path:
    random = np.random.default_rng(3)
    tables: dict[str, Rows] = defaultdict(list)
    tables["log"].append({"token": "log", "logfile": "drive", "location": "street"})
    (root / "maps").mkdir(parents=True)
    Image.new("L", (8, 8)).save(root / "maps" / "mask.png")
    prior = {"category": "semantic_prior", "filename": "maps/mask.png"}
    tables["map"].append({"token": "map", "log_tokens": ["log"], **prior})
    tables["attribute"].append({"token": "attribute", "name": "vehicle.moving", "description": ""})
    tables["visibility"] += [{"token": level, "level": level, "description": ""} for level in "1234"]
    for name in ("vehicle.car", *STANDING):
        tables["category"].append({"token": name, "name": name, "description": ""})
    for channel, modality, rotation in (("LIDAR_TOP", "lidar", LIDAR), ("CAM_FRONT", "camera", CAMERA)):
        tables["sensor"].append({"token": channel, "channel": channel, "modality": modality})
        matrix = [[10.0, 0, 8], [0, 10, 5], [0, 0, 1]] if modality == "camera" else []
        tables["calibrated_sensor"].append(
            {
                "token": channel, "sensor_token": channel, "translation": MOUNTING.tolist(),
                "rotation": list(rotation.elements), "camera_intrinsic": matrix,
            }
        )  # fmt: skip
    for scene in range(SCENES):
        _add_scene(root, tables, scene, random)
    (root / VERSION).mkdir()
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    (root / VERSION / "splits.json").write_text(json.dumps({"train": ["scene-0"], "val": ["scene-1"]}))
    return root


def _add_scene(root: Path, tables: dict[str, Rows], scene: int, random: np.random.Generator) -> None:
    def chain(name: str, k: int) -> dict[str, str]:
        return {"prev": f"{name}-{k - 1}" if k else "", "next": f"{name}-{k + 1}" if k < KEYFRAMES - 1 else ""}

    samples = f"sample-{scene}"
    ends = {"first_sample_token": f"{samples}-0", "last_sample_token": f"{samples}-{KEYFRAMES - 1}"}
    tables["scene"].append(
        {"token": f"scene{scene}", "name": f"scene-{scene}", "log_token": "log", "nbr_samples": KEYFRAMES, **ends}
    )
    objects = list(_objects(0.0))
    for number, (category, *_) in enumerate(objects):
        tables["instance"].append({"token": f"thing-{scene}-{number}", "category_token": category})
    for k in range(KEYFRAMES):
        seconds, time = k / 2, EPOCH + scene * 60_000_000 + k * 500_000
        row = {"token": f"{samples}-{k}", "timestamp": time, "scene_token": f"scene{scene}"}
        tables["sample"].append(row | chain(samples, k))
        position, heading = _ego(seconds)
        for channel, suffix in (("LIDAR_TOP", "pcd.bin"), ("CAM_FRONT", "jpg")):
            token = f"{channel}-{scene}"
            pose = {"token": f"{token}-{k}", "timestamp": time, "translation": position.tolist()}
            tables["ego_pose"].append(pose | {"rotation": list(heading.elements)})
            path = root / "samples" / channel / f"{scene}-{k}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if channel == "LIDAR_TOP":
                write_lidar(path, _cloud(seconds, random))
            else:
                Image.new("RGB", (16, 10)).save(path)
            size = {"height": 10, "width": 16} if channel == "CAM_FRONT" else {"height": 0, "width": 0}
            tables["sample_data"].append(
                {
                    "token": f"{token}-{k}", "sample_token": f"{samples}-{k}", "ego_pose_token": f"{token}-{k}",
                    "calibrated_sensor_token": channel, "timestamp": time, "fileformat": suffix, "is_key_frame": True,
                    "filename": path.relative_to(root).as_posix(), **size, **chain(token, k),
                }
            )  # fmt: skip
        for number, (_, centre, size, yaw) in enumerate(_objects(seconds)):
            token = f"box-{scene}-{number}"
            tables["sample_annotation"].append(
                {
                    "token": f"{token}-{k}", "sample_token": f"{samples}-{k}",
                    "instance_token": f"thing-{scene}-{number}", "visibility_token": "4", "attribute_tokens": [],
                    "translation": centre.tolist(), "size": list(size), "num_lidar_pts": POINTS, "num_radar_pts": 0,
                    "rotation": list(Quaternion(axis=[0, 0, 1], radians=yaw).elements), **chain(token, k),
                }
            )  # fmt: skip


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset. Not to be changed: see ``spoilt``."""
    return _build(tmp_path_factory.mktemp("street") / "data")


Spoil = Callable[[str, Callable[[dict[str, Any]], dict[str, Any] | None]], Path]


@pytest.fixture
def own(street: Path, tmp_path: Path) -> Path:
    """A copy of the dataset, for tests that change it."""
    shutil.copytree(street, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def spoilt(own: Path) -> Spoil:
    """Changes every record of a table of ``own`` (``None`` leaves it out); returns the dataset's root."""

    def change(table: str, record: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Path:
        path = own / VERSION / f"{table}.json"
        rows = [changed for row in json.loads(path.read_text()) if (changed := record(row)) is not None]
        path.write_text(json.dumps(rows))
        return own

    return change
