"""An adapter to a made-up format: a JSON file for each drive, an NPZ file for each turn of the LiDAR."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import Layout, register_layout
from avjepa.data.file_moments import SensorFile
from avjepa.data.poses import pose_matrices
from avjepa.data.recorded.boxes import SceneBoxes
from avjepa.data.recorded.dataset import RecordedDataset
from avjepa.data.recorded.records import ChannelRecords, SceneRecords
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import BadFileError, UserError

CHANNELS = SensorChannels(lidar=("roof",))
CLASSES = Path(__file__).with_name("my_classes.yaml")


class MyDrives(RecordedDataset):
    """Drives below ``ROOT/VERSION``, of which ``drives.json`` names the splits."""

    @staticmethod
    def recognises(dataroot: Path, version: str) -> bool:
        """Whether this is such a folder."""
        return (dataroot / version / "drives.json").is_file()

    @classmethod
    def open(cls, dataroot: Path, version: str, channels: SensorChannels, taxonomy: Taxonomy) -> "MyDrives":
        """What is common to all drives: here, which split each is in."""
        return cls(dataroot, version, _read(dataroot / version / "drives.json"), channels, taxonomy)

    def open_scene(self, scene: str) -> SceneRecords:
        """Every frame is a moment: its time (µs), and where vehicle and LiDAR were in the world."""
        frames = self._frames(scene)
        time = np.array([round(frame["seconds"] * 1e6) for frame in frames], np.int64)
        world_from_vehicle = pose_matrices(np.array([frame["vehicle"] for frame in frames]))  # quaternion, place
        files = [self.dataroot / self.version / scene / frame["points"] for frame in frames]
        roof = ChannelRecords(time, files, world_from_vehicle)  # the points are in the vehicle's frame already
        tokens = [f"{scene}-{number:04d}" for number in range(len(frames))]
        return SceneRecords(tokens, time, world_from_vehicle, {"roof": roof})

    def open_boxes(self, scene: str) -> SceneBoxes:
        """Boxes stand in the vehicle's frame; velocities follow from the tracks, numbers of points are counted."""
        frames, records = self._frames(scene), self.open_scene(scene)
        boxes = [(row, box) for row, frame in enumerate(frames) for box in frame["boxes"]]
        moment = np.array([row for row, _ in boxes], np.int64)
        turned = [[math.cos(box["yaw"] / 2), 0.0, 0.0, math.sin(box["yaw"] / 2)] for _, box in boxes]
        place = [[*turn, *box["centre"]] for turn, (_, box) in zip(turned, boxes, strict=True)]
        vehicle_from_box = pose_matrices(np.array(place, np.float64).reshape(-1, 7))
        return SceneBoxes.of(
            moment=moment,
            time=records.time,
            global_from_box=records.global_from_ego[moment] @ vehicle_from_box,
            size=np.array([box["length_width_height"] for _, box in boxes], np.float64).reshape(-1, 3),
            categories=[box["kind"] for _, box in boxes],
            tracks=[box["object"] for _, box in boxes],
            radar_points=np.zeros(len(boxes), np.int64),  # there is no radar
        )

    def lidar_points(self, file: SensorFile) -> np.ndarray:
        """x, y, z (m, in the frame of the channel's pose), intensity from 0 to 255, beam."""
        try:
            points = np.load(file.path)["points"].astype(np.float32)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise BadFileError(file.path, f"holds no points ({error})") from None  # may be skipped
        return np.column_stack((points[:, :3], 255 * points[:, 3], np.zeros(len(points), np.float32)))

    def _frames(self, scene: str) -> Any:
        return _read(self.dataroot / self.version / scene / "frames.json")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); restore it") from None


register_layout("my-drives", Layout(MyDrives.recognises, MyDrives.open, CHANNELS, str(CLASSES)))
