"""One log: poses, calibrations, and which sensor files there are."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.argoverse2.feather import read_table
from avjepa.data.arrays import Array
from avjepa.data.poses import pose_matrices
from avjepa.data.recorded.records import ChannelRecords, OnDemand, SceneRecords, TimedFiles
from avjepa.errors import UserError

POSES = "city_SE3_egovehicle.feather"
"""The file that every log has."""
CALIBRATIONS = ("egovehicle_SE3_sensor.feather", "intrinsics.feather")
LIDAR = "lidar"
"""Channel of the sweeps, each of which holds the points of both LiDARs."""
QUATERNION = ("qw", "qx", "qy", "qz")
TRANSLATION = ("tx_m", "ty_m", "tz_m")
_FARTHEST = 100_000_000
"""Nanoseconds that a sensor file may lie before the first pose or after the last one."""


class EgoPoses:
    """Where the vehicle was, at any time of a log.

    Args:
        folder: of the log.

    Raises:
        UserError: the table cannot be read, or is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / POSES
        table = read_table(self._path, {"timestamp_ns": int, **dict.fromkeys((*QUATERNION, *TRANSLATION), float)})
        time, order = np.unique(table["timestamp_ns"], return_index=True)
        if not len(time):
            raise UserError(f"{self._path}: holds no pose; restore the file")
        self._time = time
        self._poses = poses_of(table, self._path)[order]

    def at(self, time: Int64[Array, "time"], what: str) -> Float64[Array, "time 4 4"]:
        """``city_from_ego``: a row of the table where it has the time, else between two rows.

        Args:
            time: nanoseconds.
            what: has these times, for a message.

        Raises:
            UserError: the table does not cover one of them.
        """
        far = (time < self._time[0] - _FARTHEST) | (time > self._time[-1] + _FARTHEST)
        if far.any():
            raise UserError(
                f"{self._path}: has no pose of {what} at {time[far][0]} ns (its poses are of {self._time[0]} to "
                f"{self._time[-1]}); restore both from one download"
            )
        after = np.clip(np.searchsorted(self._time, time), 0, len(self._time) - 1)
        before = np.maximum(after - 1, 0)
        duration = np.maximum(self._time[after] - self._time[before], 1)
        share = np.clip((time - self._time[before]) / duration, 0.0, 1.0)[:, None]
        share[before == after] = 0.0
        first, second = self._poses[before], self._poses[after]
        same_side = np.where((first[:, :4] * second[:, :4]).sum(1, keepdims=True) < 0, -1.0, 1.0)
        second = np.concatenate((second[:, :4] * same_side, second[:, 4:]), axis=1)
        return pose_matrices(first * (1 - share) + second * share)


def poses_of(table: dict[str, Array], path: Path) -> Float64[Array, "row 7"]:
    """Quaternion (of length 1) and translation of every row.

    Raises:
        UserError: a quaternion has no direction.
    """
    quaternion = np.stack([table[name] for name in QUATERNION], axis=1)
    length = np.linalg.norm(quaternion, axis=1, keepdims=True)
    if (length < 1e-6).any():
        raise UserError(f"{path}: a rotation is no quaternion: its length is zero; restore the file")
    return np.concatenate((quaternion / length, np.stack([table[name] for name in TRANSLATION], axis=1)), axis=1)


def read_log(folder: Path) -> SceneRecords:
    """What was recorded in a log.

    Raises:
        UserError: a table is missing or broken, there is no sweep, or a sensor has no calibration.
    """
    poses = EgoPoses(folder)
    lidar = folder / "sensors" / LIDAR
    time = _times(lidar, ".feather")
    if not len(time):
        raise UserError(f"{lidar}: holds no sweep (TIMESTAMP.feather); download the log's LiDAR, or remove the log")
    city_from_ego = poses.at(time, "sweep")
    files = TimedFiles(lidar, time.tolist(), ".feather")
    sweeps = ChannelRecords(_microseconds(time), files, city_from_ego)
    cameras = {path.name: partial(_camera, folder, path.name, poses) for path in camera_folders(folder)}
    channels = OnDemand({LIDAR: lambda: sweeps, **cameras})
    tokens = [f"{folder.name}_{stamp}" for stamp in time.tolist()]
    return SceneRecords(tokens, _microseconds(time), city_from_ego, channels)


def sources_of(folder: Path) -> list[Path]:
    """What is to be looked at to see that a log has not changed: tables, and folders of sensor files."""
    tables = [folder / POSES, *(folder / "calibration" / name for name in CALIBRATIONS)]
    return [*tables, folder / "sensors" / LIDAR, *camera_folders(folder)]


def timestamp_of(token: str) -> int:
    """Nanoseconds of the sweep that a moment's token names."""
    return int(token.rpartition("_")[2])


def camera_folders(folder: Path) -> list[Path]:
    """The folders of images of a log, by the cameras' names."""
    recorded = folder / "sensors" / "cameras"
    return sorted(path for path in recorded.iterdir() if path.is_dir()) if recorded.is_dir() else []


def _camera(folder: Path, name: str, poses: EgoPoses) -> ChannelRecords:
    extrinsics, intrinsics = (folder / "calibration" / file for file in CALIBRATIONS)
    mounted = read_table(extrinsics, {"sensor_name": str, **dict.fromkeys((*QUATERNION, *TRANSLATION), float)})
    numbers = dict.fromkeys(("fx_px", "fy_px", "cx_px", "cy_px"), float)
    table = read_table(intrinsics, {"sensor_name": str, "height_px": int, "width_px": int, **numbers})
    rows = [_row_of(name, own, path) for own, path in ((mounted, extrinsics), (table, intrinsics))]
    fx, fy, cx, cy = (float(table[column][rows[1]]) for column in numbers)
    height, width = int(table["height_px"][rows[1]]), int(table["width_px"][rows[1]])
    if min(fx, fy, height, width) <= 0:
        raise UserError(f"{intrinsics}: {name} has no focal length or no size; restore the file")
    images = folder / "sensors" / "cameras" / name
    time = _times(images, ".jpg")
    return ChannelRecords(
        time=_microseconds(time),
        files=TimedFiles(images, time.tolist(), ".jpg"),
        global_from_sensor=poses.at(time, name) @ pose_matrices(poses_of(mounted, extrinsics))[rows[0]],
        intrinsic=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
        size=(height, width),
        horizon=cy / height,  # the cameras look straight ahead
    )


def _row_of(name: str, table: dict[str, Array], path: Path) -> int:
    """The row of a sensor in a table of calibrations.

    Raises:
        UserError: it has none.
    """
    rows = np.flatnonzero(table["sensor_name"] == name)
    if not len(rows):
        raise UserError(f"{path}: says nothing of {name}, of which there are images; restore the file")
    return int(rows[0])


def _times(folder: Path, suffix: str) -> Int64[Array, "file"]:
    """Nanoseconds that the files of a folder are named by, ascending.

    Raises:
        UserError: a file has another name.
    """
    names = [name for name in os.listdir(folder) if name.endswith(suffix)] if folder.is_dir() else []
    for name in names:
        if not name.removesuffix(suffix).isdigit() or len(name) > 19 + len(suffix):
            raise UserError(f"{folder / name}: is not named by its time (NANOSECONDS{suffix}); remove it")
    return np.array(sorted(int(name.removesuffix(suffix)) for name in names), np.int64)


def _microseconds(nanoseconds: Int64[Array, "time"]) -> Int64[Array, "time"]:
    return nanoseconds // 1000
