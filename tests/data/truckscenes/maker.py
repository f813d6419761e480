"""The tiny data set written as MAN TruckScenes writes its own: other channels, PCD files, relative radar velocities."""

import json
import shutil
from pathlib import Path

import numpy as np
from pyquaternion import Quaternion

from avjepa.data.files.pointfiles import RADAR_FILE_FIELDS, read_lidar, read_radar
from tests.data.conftest import EPOCH, SENSORS, TARGET_START, TARGET_VELOCITY, ego_pose
from tests.data.conftest import VERSION as TINY

VERSION = "v1.2-mini"
CHANNELS = {
    "LIDAR_TOP": "LIDAR_LEFT",
    "CAM_FRONT": "CAMERA_LEFT_FRONT",
    "CAM_BACK": "CAMERA_RIGHT_BACK",
    "RADAR_FRONT": "RADAR_LEFT_FRONT",
    "RADAR_BACK_LEFT": "RADAR_LEFT_BACK",
}
SCENES = ["scene-3f542f89ec5241b6a4e30ca743adcf34-29", "scene-13f4b71b1bd04a9e88747ad8f58a3f67-4"]
"""One of each of the official splits mini_train and mini_val."""


def pcd(columns: dict[str, np.ndarray]) -> bytes:
    """A binary PCD file."""
    record = np.dtype([(name, values.dtype) for name, values in columns.items()])
    points = np.zeros(len(next(iter(columns.values()))), record)
    for name, values in columns.items():
        points[name] = values
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", f"FIELDS {' '.join(columns)}",
        f"SIZE {' '.join(str(record[name].itemsize) for name in columns)}",
        f"TYPE {' '.join(record[name].kind.upper() for name in columns)}", f"COUNT {' '.join('1' for _ in columns)}",
        f"WIDTH {len(points)}", "HEIGHT 1", "VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {len(points)}", "DATA binary", "",
    ]  # fmt: skip
    return "\n".join(lines).encode() + points.tobytes()


def sensor_motion(channel: str, seconds: float) -> np.ndarray:
    """Velocity of a sensor of the tiny data set over ground, in its own frame, by a step of 2 ms."""

    def place(when: float) -> np.ndarray:
        position, heading = ego_pose(when)
        return position + heading.rotate(np.array(SENSORS[channel][1]))

    velocity = (place(seconds + 1e-3) - place(seconds - 1e-3)) / 2e-3
    return (ego_pose(seconds)[1] * SENSORS[channel][2]).inverse.rotate(velocity)


def relative_returns(path: Path, channel: str, seconds: float) -> dict[str, np.ndarray]:
    """Of the returns at rest and of the target, which is the last: what a radar measures of them along its rays."""
    points = read_radar(path)
    place = points[:, :3].astype(np.float64)
    over_ground = np.zeros((len(points), 3))
    over_ground[-1] = (ego_pose(seconds)[1] * SENSORS[channel][2]).inverse.rotate(TARGET_VELOCITY)
    ray = place / np.linalg.norm(place, axis=1, keepdims=True)
    relative = ray * ((over_ground - sensor_motion(channel, seconds)) * ray).sum(1, keepdims=True)
    rcs = points[:, RADAR_FILE_FIELDS.index("rcs")]
    names = ("x", "y", "z", "vrel_x", "vrel_y", "vrel_z")
    columns = dict(zip(names, np.concatenate((place, relative), axis=1).T.astype(np.float32), strict=True))
    return {**columns, "rcs": rcs.astype(np.float32)}


def make(tiny: Path, root: Path) -> Path:
    """Two scenes below ``root``, version ``v1.2-mini``."""
    tables = {path.stem: json.loads(path.read_text()) for path in (tiny / TINY).glob("*.json")}
    (root / VERSION).mkdir(parents=True)
    for unknown in ("log", "map", "splits"):
        del tables[unknown]
    for number, scene in enumerate(tables["scene"]):
        scene |= {"name": SCENES[number], "log_token": "", "description": "weather.clear;area.terminal"}
    channel_of = {row["token"]: row["channel"] for row in tables["sensor"]}
    sensor_of = {row["token"]: channel_of[row["sensor_token"]] for row in tables["calibrated_sensor"]}
    for row in tables["sensor"]:
        row["channel"] = CHANNELS[row["channel"]]
    for number, row in enumerate(tables["sample_data"]):
        channel = sensor_of[row["calibrated_sensor_token"]]
        seconds = (row["timestamp"] - EPOCH) * 1e-6 % 100
        name = f"{'samples' if row['is_key_frame'] else 'sweeps'}/{CHANNELS[channel]}/{number}"
        row["filename"] = f"{name}.{'jpg' if channel.startswith('CAM') else 'pcd'}"
        path, before = root / row["filename"], next(tiny.glob(f"s*/{channel}/{row['token']}.*"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if channel.startswith("CAM"):
            shutil.copyfile(before, path)
        elif channel.startswith("RADAR"):
            path.write_bytes(pcd(relative_returns(before, channel, seconds)))
        else:
            points = read_lidar(before)
            columns = {name: points[:, column] for column, name in enumerate(("x", "y", "z", "intensity"))}
            path.write_bytes(pcd({**columns, "timestamp": np.full(len(points), row["timestamp"], np.uint64)}))
    for body in ("chassis", "cabin"):
        motion = {
            "vx": 6.0,
            "vy": 0.0,
            "vz": 0.0,
            "ax": 0.0,
            "ay": 0.0,
            "az": 0.0,
            "yaw": 0.0,
            "pitch": 0.0,
            "roll": 0.0,
        }
        tables[f"ego_motion_{body}"] = [{"token": f"{body}0", "timestamp": EPOCH, **motion}]
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    return root


def target_at(seconds: float) -> np.ndarray:
    return TARGET_START + TARGET_VELOCITY * seconds


def rotation_of(channel: str, seconds: float) -> Quaternion:
    return ego_pose(seconds)[1] * SENSORS[channel][2]
