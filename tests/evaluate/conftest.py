import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes import NuScenes
from nuscenes.eval.detection.utils import category_to_detection_name, detection_name_to_rel_attributes
from PIL import Image

from avjepa.data.taxonomy import load_taxonomy
from avjepa.files import write_json

TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
    "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
META = {"use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}


@pytest.fixture(scope="session")
def minival(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of all 81 keyframes of mini_val; attributes and bicycle racks, which the recordings lack, are drawn."""
    root, version = tmp_path_factory.mktemp("minival"), "v1.0-mini"
    shutil.copytree(realdata / "nuscenes_minival_metadata" / version, root / version, copy_function=shutil.copyfile)
    (root / version).chmod(0o755)
    (root / "maps").symlink_to(realdata / "nuscenes_minival_metadata" / "maps")
    tables = {
        name: json.loads((root / version / f"{name}.json").read_text())
        for name in ("category", "attribute", "instance", "sample_annotation")
    }
    rng = np.random.default_rng(0)
    attributes = {row["name"]: row["token"] for row in tables["attribute"]}
    category_of = {row["token"]: row["name"] for row in tables["category"]}
    instances = {row["token"]: row for row in tables["instance"]}
    cycles = sorted(
        token
        for token, row in instances.items()
        if category_of[row["category_token"]] in ("vehicle.bicycle", "vehicle.motorcycle")
    )
    racks = set(rng.choice(cycles, 4, replace=False))
    (rack,) = (token for token, name in category_of.items() if name == "static_object.bicycle_rack")
    for token in racks:
        instances[token]["category_token"] = rack
    for row in tables["sample_annotation"]:
        name = category_to_detection_name(category_of[instances[row["instance_token"]]["category_token"]])
        choices = detection_name_to_rel_attributes(name) if name else []
        row["attribute_tokens"] = [attributes[rng.choice(choices)]] if choices and rng.random() < 0.9 else []
        if row["instance_token"] in racks:
            row["size"] = [4.0, 6.0, 2.0]
    for name in ("instance", "sample_annotation"):
        write_json(root / version / f"{name}.json", tables[name])
    return root


@pytest.fixture(scope="session")
def minival_devkit(minival: Path) -> NuScenes:
    return NuScenes("v1.0-mini", str(minival), verbose=False)


def annotations_as_predictions(nusc: NuScenes, noise: float = 0.0, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Result entries made from the annotations; with noise: displaced, missing, invented boxes, and equal scores."""
    rng = np.random.default_rng(seed)
    names = {row["token"]: row["name"] for row in nusc.attribute}
    results = {}
    for sample in nusc.sample:
        entries = []
        for token in sample["anns"]:
            row = nusc.get("sample_annotation", token)
            name = category_to_detection_name(row["category_name"])
            if name is None or (noise and rng.random() < 0.15):
                continue
            turn = noise * rng.normal()
            w, x, y, z = row["rotation"]
            cos, sin = np.cos(turn / 2), np.sin(turn / 2)
            entry = {
                "sample_token": sample["token"],
                "translation": (np.array(row["translation"]) + noise * rng.normal(size=3)).tolist(),
                "size": (np.array(row["size"]) * np.exp(0.3 * noise * rng.normal(size=3))).tolist(),
                "rotation": [cos * w - sin * z, cos * x - sin * y, cos * y + sin * x, cos * z + sin * w],
                "velocity": (np.nan_to_num(nusc.box_velocity(token)[:2]) + noise * rng.normal(size=2)).tolist(),
                "detection_name": name,
                # two decimals: many boxes share a score
                "detection_score": float(np.round(rng.random(), 2)) if noise else 1.0 - 1e-6 * len(entries),
                "attribute_name": "".join(names[t] for t in row["attribute_tokens"]),
            }
            entries.append(entry)
            if noise and rng.random() < 0.3:
                false = entry | {
                    "detection_name": str(rng.choice(load_taxonomy("nuscenes").classes)),
                    "attribute_name": "vehicle.moving",
                }
                false["translation"] = (np.array(row["translation"]) + 3 * rng.normal(size=3)).tolist()
                entries.append(false)
        results[sample["token"]] = entries
    return results


@pytest.fixture
def write_results(tmp_path: Path) -> Callable[[dict[str, list[dict[str, Any]]]], Path]:
    def write(results: dict[str, list[dict[str, Any]]]) -> Path:
        path = tmp_path / "predictions.json"
        write_json(path, {"meta": META, "results": results}, indent=None)
        return path

    return write


def write_tiny_dataset(root: Path, version: str, splits: dict[str, list[str]], objects: list[dict[str, Any]]) -> None:
    """A dataset of three keyframes a scene, half a second apart, the ego vehicle at rest in (100, 200).

    Args:
        root: data root.
        version: name of the version.
        splits: scenes by split, for ``splits.json``.
        objects: category, attribute, xy relative to the ego vehicle, size, velocity, points, rotation (none without);
            all in every scene.
    """
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    tables["sensor"] = [{"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"}]
    pose = {"rotation": [1.0, 0.0, 0.0, 0.0]}
    tables["calibrated_sensor"] = [
        {"token": "lidar", "sensor_token": "lidar", "camera_intrinsic": [], "translation": [0.0, 0.0, 1.8], **pose}
    ]
    (root / "maps").mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1)).save(root / "maps" / "mask.png")
    tables["map"] = [{"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": "maps/mask.png"}]
    tables["log"] = [
        {"token": "log", "logfile": "", "vehicle": "", "date_captured": "2026-01-01", "location": "singapore-onenorth"}
    ]
    attributes = sorted({o["attribute"] for o in objects} - {""})
    tables["attribute"] = [{"token": name, "name": name, "description": ""} for name in attributes]
    categories = sorted({o["category"] for o in objects})
    tables["category"] = [{"token": name, "name": name, "description": ""} for name in categories]
    for scene in sorted(name for names in splits.values() for name in names):
        tokens = [f"{scene}-{time}" for time in range(3)]
        tables["scene"].append(
            {
                "token": scene, "name": scene, "description": "", "log_token": "log", "nbr_samples": 3,
                "first_sample_token": tokens[0], "last_sample_token": tokens[-1],
            }
        )  # fmt: skip
        links = dict(zip(tokens, zip(["", *tokens[:-1]], [*tokens[1:], ""], strict=True), strict=True))
        for time, token in enumerate(tokens):
            stamp, (previous, following) = 500_000 * time, links[token]
            ego = {"token": token, "timestamp": stamp, "translation": [100.0, 200.0, 0.0], **pose}
            tables["ego_pose"].append(ego)
            sample = {"token": token, "timestamp": stamp, "prev": previous, "next": following, "scene_token": scene}
            tables["sample"].append(sample)
            tables["sample_data"].append(
                {
                    **sample, "sample_token": token, "ego_pose_token": token, "calibrated_sensor_token": "lidar",
                    "filename": f"samples/LIDAR_TOP/{token}.pcd.bin", "fileformat": "pcd", "is_key_frame": True,
                    "height": 0, "width": 0,
                }
            )  # fmt: skip
        for number, thing in enumerate(objects):
            tables["instance"].append({"token": f"{scene}-{number}", "category_token": thing["category"]})
            names = [f"{token}-{number}" for token in tokens]
            turn = {name: value for name, value in thing.items() if name == "rotation"}
            for time, token in enumerate(tokens):
                x, y = np.array([100.0, 200.0]) + thing["xy"] + 0.5 * time * np.array(thing["velocity"])
                tables["sample_annotation"].append(
                    {
                        "token": names[time], "sample_token": token, "instance_token": f"{scene}-{number}",
                        "visibility_token": "", "attribute_tokens": [thing["attribute"]] if thing["attribute"] else [],
                        "translation": [x, y, 1.0], "size": thing["size"], **pose, **turn,
                        "prev": "" if time == 0 else names[time - 1], "next": "" if time == 2 else names[time + 1],
                        "num_lidar_pts": thing["points"], "num_radar_pts": 0,
                    }
                )  # fmt: skip
    for name, rows in tables.items():
        write_json(root / version / f"{name}.json", rows)
    write_json(root / version / "splits.json", splits)


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Callable[..., Path]:
    def write(objects: list[dict[str, Any]], splits: dict[str, list[str]], version: str = "v1.0-synth") -> Path:
        write_tiny_dataset(tmp_path / "data", version, splits, objects)
        return tmp_path / "data"

    return write


@pytest.fixture
def entries_from_annotations() -> Callable[..., dict[str, list[dict[str, Any]]]]:
    return annotations_as_predictions
