"""Small logs in the layout of Argoverse 2 Sensor, whose truth is known.

A vehicle drives a curve on a tilted road past landmarks at rest; cars, a pedestrian and an animal stand or drive there,
each with points in its box.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
from PIL import Image
from pyquaternion import Quaternion

START = 315_966_070_559_696_000
"""Nanoseconds, as in the data set."""
SWEEPS = 6
CAMERAS = {"ring_front_center": ((205, 155), 0.0), "ring_front_left": ((155, 205), 45.0)}
"""(height, width) and heading in degrees; the first one stands upright, as in the data set, at a tenth of the size."""
FOCAL = 170.0
_FORWARD = Quaternion(matrix=np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]))
_MOUNTED = np.array([1.6, 0.1, 1.4])

OBJECTS = {
    # track: category, size, place in the city at the start (m), velocity (m/s), points
    "car-ahead": ("REGULAR_VEHICLE", (4.6, 1.9, 1.7), (5020.0, -1990.0, 1.2), (4.0, 1.0), 60),
    "car-parked": ("REGULAR_VEHICLE", (4.4, 1.8, 1.6), (5012.0, -2006.0, 1.1), (0.0, 0.0), 40),
    "walker": ("PEDESTRIAN", (0.7, 0.7, 1.8), (5010.0, -1994.0, 1.2), (0.0, 1.5), 12),
    "unseen": ("BOLLARD", (0.3, 0.3, 1.0), (5030.0, -2010.0, 0.9), (0.0, 0.0), 0),
    "goat": ("ANIMAL", (1.2, 0.5, 0.9), (5008.0, -1990.0, 0.8), (0.0, 0.0), 5),
}


def stamp(seconds: float) -> int:
    return START + round(seconds * 1e9)


def ego_pose(seconds: float) -> tuple[np.ndarray, Quaternion]:
    """``city_from_ego``: origin and rotation."""
    turn = Quaternion(axis=[0, 0, 1], radians=0.4 + 0.3 * seconds)
    tilt = Quaternion(axis=[0, 1, 0], radians=0.03) * Quaternion(axis=[1, 0, 0], radians=-0.02)
    return np.array([5000 + 6 * seconds, -2000 + 3 * seconds, 0.4]), turn * tilt


def in_ego(points: np.ndarray, seconds: float) -> np.ndarray:
    position, rotation = ego_pose(seconds)
    return (points - position) @ rotation.rotation_matrix


def landmarks() -> np.ndarray:
    """(30, 3) points at rest in the city."""
    return np.array([5010.0, -1995.0, 2.5]) + np.random.default_rng(3).uniform([-25, -25, -1], [25, 25, 3], (30, 3))


def centre_of(track: str, seconds: float) -> np.ndarray:
    _, _, place, velocity, _ = OBJECTS[track]
    return np.array(place) + np.array([*velocity, 0.0]) * seconds


def heading_of(track: str, seconds: float) -> Quaternion:
    """In the ego frame, in which boxes stand upright."""
    return Quaternion(axis=[0, 0, 1], radians=0.5 * list(OBJECTS).index(track) - 0.3 * seconds)


def sweep_times() -> list[float]:
    return [round(0.1 * number + 0.0003 * (number % 2), 6) for number in range(SWEEPS)]


def write(path: Path, columns: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pa.feather.write_feather(pa.table(columns), str(path), compression="zstd")


def make_log(folder: Path, seed: int = 0, annotated: bool = True) -> Path:
    random = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for seconds in sweep_times():
        clouds = [in_ego(landmarks(), seconds)]
        for track, (category, size, _, _, count) in OBJECTS.items():
            centre, heading = in_ego(centre_of(track, seconds), seconds), heading_of(track, seconds)
            inside = random.uniform(-0.5, 0.5, (count, 3)) * size
            clouds.append(inside @ heading.rotation_matrix.T + centre)
            quaternion = dict(zip(("qw", "qx", "qy", "qz"), heading.elements.tolist(), strict=True))
            sides = dict(zip(("length_m", "width_m", "height_m"), size, strict=True))
            place = dict(zip(("tx_m", "ty_m", "tz_m"), centre.tolist(), strict=True))
            about = {"timestamp_ns": stamp(seconds), "track_uuid": f"{track}-{seed}", "category": category}
            rows.append({**about, **sides, **quaternion, **place, "num_interior_pts": count})
        cloud = np.concatenate(clouds)
        count = len(cloud)
        write(
            folder / "sensors" / "lidar" / f"{stamp(seconds)}.feather",
            {
                **{name: pa.array(cloud[:, axis].astype(np.float16)) for axis, name in enumerate("xyz")},
                "intensity": pa.array((np.arange(count) % 256).astype(np.uint8)),
                "laser_number": pa.array((np.arange(count) % 64).astype(np.uint8)),
                "offset_ns": pa.array(np.arange(count, dtype=np.int32)),
            },
        )
    if annotated:
        write(folder / "annotations.feather", {name: [row[name] for row in rows] for name in rows[0]})
    image_times = {name: [round(0.05 * number + 0.01 * place, 6) for number in range(2 * SWEEPS)]
                   for place, name in enumerate(CAMERAS)}  # fmt: skip
    for name, times in image_times.items():
        for seconds in times:
            path = folder / "sensors" / "cameras" / name / f"{stamp(seconds)}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(name, seconds).save(path, quality=95)
    times = sorted({*sweep_times(), *(one for own in image_times.values() for one in own), -0.02, 0.7})
    poses = [ego_pose(seconds) for seconds in times]
    write(
        folder / "city_SE3_egovehicle.feather",
        {
            "timestamp_ns": [stamp(seconds) for seconds in times],
            **{f"q{name}": [pose[1].elements[place] for pose in poses] for place, name in enumerate("wxyz")},
            **{name: [pose[0][axis] for pose in poses] for axis, name in enumerate(("tx_m", "ty_m", "tz_m"))},
        },
    )  # fmt: skip
    _calibrations(folder / "calibration")
    area = [{"x": x, "y": y, "z": 0.0} for x, y in ((4980, -2020), (5040, -2020), (5040, -1990), (4980, -1990))]
    (folder / "map").mkdir()
    (folder / "map" / f"log_map_archive_{folder.name}____PIT_city_1.json").write_text(
        json.dumps({"drivable_areas": {"1": {"area_boundary": area, "id": 1}}, "lane_segments": {}})
    )
    return folder


def _calibrations(folder: Path) -> None:
    mounted = {name: Quaternion(axis=[0, 0, 1], degrees=heading) * _FORWARD for name, (_, heading) in CAMERAS.items()}
    sensors = {**mounted, "up_lidar": Quaternion(), "down_lidar": Quaternion(axis=[1, 0, 0], degrees=180)}
    write(
        folder / "egovehicle_SE3_sensor.feather",
        {
            "sensor_name": list(sensors),
            **{name: [one.elements[place] for one in sensors.values()]
               for place, name in enumerate(("qw", "qx", "qy", "qz"))},
            **{name: [_MOUNTED[axis]] * len(sensors) for axis, name in enumerate(("tx_m", "ty_m", "tz_m"))},
        },
    )  # fmt: skip
    sizes = [size for size, _ in CAMERAS.values()]
    write(
        folder / "intrinsics.feather",
        {
            "sensor_name": list(CAMERAS), "fx_px": [FOCAL] * 2, "fy_px": [FOCAL] * 2,
            "cx_px": [size[1] / 2 for size in sizes], "cy_px": [size[0] / 2 for size in sizes],
            "k1": [0.0] * 2, "k2": [0.0] * 2, "k3": [0.0] * 2,
            "height_px": [size[0] for size in sizes], "width_px": [size[1] for size in sizes],
        },
    )  # fmt: skip


def pixels_of(points: np.ndarray, name: str, seconds: float) -> np.ndarray:
    """Where points of the city are in a camera's image (u, v, depth)."""
    (height, width), heading = CAMERAS[name]
    rotation = (Quaternion(axis=[0, 0, 1], degrees=heading) * _FORWARD).rotation_matrix
    x, y, z = ((in_ego(points, seconds) - _MOUNTED) @ rotation).T
    return np.stack((FOCAL * x / z + width / 2, FOCAL * y / z + height / 2, z), axis=1)


def picture(name: str, seconds: float) -> Image.Image:
    (height, width), _ = CAMERAS[name]
    pixels = np.full((height, width, 3), 30, np.uint8)
    for u, v, depth in pixels_of(landmarks(), name, seconds):
        column, row = int(np.floor(u)), int(np.floor(v))
        if depth > 1 and 3 <= column < width - 3 and 3 <= row < height - 3:
            pixels[row - 2 : row + 3, column - 2 : column + 3] = 255
    return Image.fromarray(pixels)


def make(root: Path) -> Path:
    """Three logs: two to train on, one to score on; the test split's is not annotated."""
    for number, name in enumerate(("train/log-a", "train/log-b", "val/log-c", "test/log-d")):
        make_log(root / "sensor" / name, number, annotated=not name.startswith("test"))
    return root
