"""What MAN TruckScenes has in the place of nuScenes' sensors and splits; its tables are of nuScenes' schema.

Points lie in PCD files and radar velocities are relative to the sensor, which ``files.pointfiles`` reads by their
headers. Sweeps are not compensated for the vehicle's motion within a sweep, as in the data set's own devkit.
"""

from pathlib import Path

from avjepa.data.channels import SensorChannels

CHANNELS = SensorChannels(
    lidar=("LIDAR_LEFT", "LIDAR_RIGHT", "LIDAR_TOP_FRONT", "LIDAR_TOP_LEFT", "LIDAR_TOP_RIGHT", "LIDAR_REAR"),
    cameras=("CAMERA_LEFT_FRONT", "CAMERA_RIGHT_FRONT", "CAMERA_RIGHT_BACK", "CAMERA_LEFT_BACK"),
    radars=(
        "RADAR_LEFT_FRONT", "RADAR_RIGHT_FRONT", "RADAR_RIGHT_SIDE", "RADAR_RIGHT_BACK", "RADAR_LEFT_BACK",
        "RADAR_LEFT_SIDE",
    ),
)  # fmt: skip
"""Its sensors. The first LiDAR, whose time is a moment's, is one of the two that see furthest."""
_TABLE = "ego_motion_chassis.json"
_SPLITS = {"trainval": ("train", "val"), "mini": ("mini_train", "mini_val"), "test": ("test",)}


def is_truckscenes(dataroot: Path, version: str = "") -> bool:
    """Whether a folder holds the tables of MAN TruckScenes: one of them nuScenes has not."""
    return (dataroot / version / _TABLE).is_file()


def truckscenes_splits(version: str) -> dict[str, list[str]]:
    """The splits that its devkit defines for a version (``v1.2-trainval``), if it is installed; none otherwise."""
    names = _SPLITS.get(version.rpartition("-")[2], ())
    try:
        from truckscenes.utils.splits import create_splits_scenes
    except ImportError:
        return {}
    splits = create_splits_scenes()
    return {name: list(splits[name]) for name in names}
