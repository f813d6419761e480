"""The nuScenes tables that are the same in every dataset, and how rows find each other."""

import hashlib
from typing import Any

from avjepa.data.nuscenes.schema import CAMERA_CHANNELS, LIDAR_CHANNEL, RADAR_CHANNELS

Row = dict[str, Any]
Tables = dict[str, list[Row]]

TABLE_NAMES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample", "sample_annotation",
    "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip
_CATEGORIES = (
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.wheelchair",
    "human.pedestrian.stroller",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.construction_worker",
    "animal",
    "vehicle.car",
    "vehicle.motorcycle",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.truck",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.trailer",
    "movable_object.barrier",
    "movable_object.trafficcone",
    "movable_object.pushable_pullable",
    "movable_object.debris",
    "static_object.bicycle_rack",
)
_ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider", "cycle.without_rider",
    "pedestrian.sitting_lying_down", "pedestrian.standing", "pedestrian.moving",
)  # fmt: skip
_VISIBILITY = (
    ("1", "v0-40", "0 and 40%"),
    ("2", "v40-60", "40 and 60%"),
    ("3", "v60-80", "60 and 80%"),
    ("4", "v80-100", "80 and 100%"),
)


def token(*parts: object) -> str:
    """A 32-digit token that depends on nothing but its parts."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def shared_tables() -> Tables:
    """Sensor, category, attribute and visibility: the same rows in every dataset."""
    modality = {
        LIDAR_CHANNEL: "lidar",
        **dict.fromkeys(CAMERA_CHANNELS, "camera"),
        **dict.fromkeys(RADAR_CHANNELS, "radar"),
    }
    return {
        "sensor": [
            {"token": token("sensor", channel), "channel": channel, "modality": kind}
            for channel, kind in modality.items()
        ],
        "category": [
            {"token": token("category", name), "name": name, "description": "", "index": i}
            for i, name in enumerate(_CATEGORIES)
        ],
        "attribute": [{"token": token("attribute", name), "name": name, "description": ""} for name in _ATTRIBUTES],
        "visibility": [
            {"token": t, "level": level, "description": f"visibility of whole object is between {text}"}
            for t, level, text in _VISIBILITY
        ],
    }


def linked(rows: list[Row]) -> list[Row]:
    """The rows with ``prev`` and ``next`` set to their neighbours' tokens, empty at both ends."""
    tokens = ["", *(row["token"] for row in rows), ""]
    return [{**row, "prev": tokens[i], "next": tokens[i + 2]} for i, row in enumerate(rows)]
