"""Maps that the devkit draws of its own tables score one: frames, classes and order are its."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes.nuscenes import NuScenes
from shapely import Point, Polygon

from avjepa.data.datasets import open_dataset
from avjepa.errors import UserError
from avjepa.evaluate.segmentation.result_file import entry, write_segmentations
from avjepa.evaluate.segmentation.scoring import evaluate_segmentation
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.prediction import Segmentation
from avjepa.heads.task import ScoredSplit
from tests.data.conftest import VERSION, copy, tiny
from tests.data.test_map_mask import drawn_mask

__all__ = ["copy", "tiny"]

GRID = BEVGrid(-20.0, 20.0, -10.0, 10.0, 0.5)
CLASSES = SegmentedClasses(objects={"vehicle": ["car"], "people": ["pedestrian"]})
CATEGORIES = {"vehicle": "vehicle.car", "people": "human.pedestrian.adult"}


def drawn_by_the_devkit(nusc: NuScenes, token: str) -> torch.Tensor:
    """Certain where the devkit's map and boxes cover the place in the world that a cell's centre lies at."""
    sample = nusc.get("sample", token)
    pose = nusc.get("ego_pose", nusc.get("sample_data", sample["data"]["LIDAR_TOP"])["ego_pose_token"])
    w, x, y, z = pose["rotation"]
    heading = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    columns, rows = np.meshgrid(-20.0 + 0.5 * (np.arange(80) + 0.5), -10.0 + 0.5 * (np.arange(40) + 0.5))
    east = pose["translation"][0] + np.cos(heading) * columns - np.sin(heading) * rows
    north = pose["translation"][1] + np.sin(heading) * columns + np.cos(heading) * rows
    mask = next(record["mask"] for record in nusc.map)
    layers = [mask.is_on_mask(east.ravel(), north.ravel()).reshape(40, 80)]
    for category in CATEGORIES.values():
        boxes = [nusc.get_box(name) for name in sample["anns"]]
        shapes = [Polygon(box.bottom_corners()[:2].T) for box in boxes if box.name == category]
        places = [Point(*place) for place in zip(east.ravel(), north.ravel(), strict=True)]
        covered = [any(shape.covers(place) for shape in shapes) for place in places]
        layers.append(np.array(covered).reshape(40, 80))
    return torch.from_numpy(np.stack(layers).astype(np.uint8) * 255)


@pytest.fixture
def scored(copy: Path, tmp_path: Path) -> tuple[Path, ScoredSplit]:
    drawn_mask(copy / "maps" / "mask.png")
    nusc = NuScenes(VERSION, str(copy), verbose=False)
    source = open_dataset(copy, VERSION)
    tokens = source.keyframe_tokens(source.scenes_of("val"))
    maps = {token: Segmentation(CLASSES.names, GRID, drawn_by_the_devkit(nusc, token)) for token in tokens}
    entries = {token: json.dumps(entry(segmentation)).encode() for token, segmentation in maps.items()}
    write_segmentations(tmp_path / "segmentation.zip", CLASSES, entries, tokens, ["lidar"])
    return tmp_path / "segmentation.zip", ScoredSplit(source, "val")


def test_what_the_devkit_draws_is_right(
    scored: tuple[Path, ScoredSplit], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = evaluate_segmentation(*scored, tmp_path, CLASSES)
    assert scores["drivable_area"].usual > 0.99 and scores["drivable_area"].present > 1000
    assert scores["vehicle"].usual > 0.97 and scores["vehicle"].present > 60
    assert scores["people"].present > 10 and scores["people"].usual > 0.9
    written = json.loads((tmp_path / "metrics.json").read_text())
    means = [score.usual for score in scores.values()]
    assert written["mean_iou"] == pytest.approx(sum(means) / 3)
    assert written["classes"]["vehicle"]["iou"] == scores["vehicle"].usual
    assert "vehicle" in capsys.readouterr().out


def test_boxes_of_a_lower_visibility_do_not_count(scored: tuple[Path, ScoredSplit], tmp_path: Path) -> None:
    strict = SegmentedClasses(objects=CLASSES.objects, minimum_visibility=2)  # the car's is 1, the pedestrian's 2
    scores = evaluate_segmentation(*scored, tmp_path, strict)
    assert scores["vehicle"].present == 0 and scores["people"].present > 10
    assert scores["vehicle"].known < scores["people"].known


def test_another_split_and_another_class_are_one_line(scored: tuple[Path, ScoredSplit], tmp_path: Path) -> None:
    path, split = scored
    with pytest.raises(UserError, match="its samples are not those of the split"):
        evaluate_segmentation(path, ScoredSplit(split.source, "train"), tmp_path, CLASSES)
    with pytest.raises(UserError, match="holds no class 'cars'"):
        evaluate_segmentation(path, split, tmp_path, SegmentedClasses(objects={"cars": ["car"]}))
