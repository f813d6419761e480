"""Map masks: the devkit's conventions, BEV frames with and without augmentation, and what is said of bad ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nuscenes.utils.map_mask import MapMask as DevkitMask
from PIL import Image, ImageDraw

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.datasets import open_dataset
from avjepa.data.labels import BoxQueries
from avjepa.data.loading.dataset import LabelledDataset
from avjepa.data.map_mask import UNKNOWN, MapMask
from avjepa.data.nuscenes.dataset import NuScenesDataset
from avjepa.data.nuscenes.inspection.inspect_dataset import inspect_dataset
from avjepa.data.pseudo_labels import PseudoLabels
from avjepa.data.sampling.sampler import SampleRequest
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from tests.data.conftest import VERSION

GRID = BEVGrid(-16.0, 24.0, -12.0, 12.0, 0.8)


def drawn_mask(path: Path, width: int = 4000, height: int = 11_000) -> Path:
    """A mask of a crooked street through the place of the tiny data set, which lies near (300, 1000)."""
    image = Image.new("L", (width, height))
    for x, y in ((2900, 9900), (3000, 10_050), (3200, 9980)):
        ImageDraw.Draw(image).polygon(
            [(x, height - y), (x + 90, height - y - 40), (x + 60, height - y + 150)], fill=255
        )
    image.save(path)
    return path


def test_places_are_on_the_mask_as_the_devkit_has_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray((rng.random((2100, 37)) < 0.4).astype(np.uint8) * 255)
    image.save(tmp_path / "mask.png")
    devkit, mask = DevkitMask(str(tmp_path / "mask.png")), MapMask.of_image(image)
    xy = np.concatenate((rng.uniform((0.0, 0.1), (3.6, 209.9), (5000, 2)), rng.integers(1, 36, (500, 2)) / 20))
    np.testing.assert_array_equal(mask.at(xy) == 1, devkit.is_on_mask(xy[:, 0], xy[:, 1]))
    outside = np.array([[-0.2, 5.0], [3.8, 5.0], [1.0, -0.2], [1.0, 210.2]])
    assert (mask.at(outside) == UNKNOWN).all() and not devkit.is_on_mask(outside[:, 0], outside[:, 1]).any()


@pytest.mark.parametrize("augmented", [False, True])
def test_cells_of_a_sample_have_what_the_devkit_says_of_their_place_in_the_world(copy: Path, augmented: bool) -> None:
    path = drawn_mask(copy / "maps" / "mask.png")
    source = open_dataset(copy, VERSION)
    augmentation = BEVAugmentation(rotation=1.0, scale=(0.8, 0.9), translation=2.0) if augmented else None
    data = LabelledDataset(source, SensorInputs(LidarSweeps()), augmentation=augmentation, map_grids=[GRID])
    sample = data[SampleRequest(5, 3)]
    found = sample.drivable[GRID]
    # a cell's centre back into the level frame, and from there by the pose into the world
    level = (torch.linalg.inv(sample.bev_from_level.double()) @ homogeneous(GRID).T).T
    world = (sample.global_from_level @ level.T).T[:, :2].numpy()
    expected = DevkitMask(str(path)).is_on_mask(world[:, 0], world[:, 1]).reshape(GRID.shape)
    assert 50 < expected.sum() < 0.9 * expected.size
    assert (found.numpy() == expected).mean() > 0.999, "but for centres between two pixels"
    assert (sample.bev_from_level != torch.eye(4)).any() == augmented


def homogeneous(grid: BEVGrid) -> torch.Tensor:
    centres = grid.centres().double().reshape(-1, 2)
    return torch.cat((centres, torch.zeros(len(centres), 1), torch.ones(len(centres), 1)), dim=1)


def test_no_map_is_opened_unless_a_grid_is_asked_for(copy: Path) -> None:
    (copy / "maps" / "mask.png").unlink()
    (copy / VERSION / "map.json").unlink()
    source = open_dataset(copy, VERSION)
    assert LabelledDataset(source, SensorInputs(LidarSweeps()))[SampleRequest(0, 0)].drivable == {}
    unlabelled = LabelledDataset(source, SensorInputs(LidarSweeps()), with_labels=False, map_grids=[GRID])
    assert unlabelled[SampleRequest(0, 0)].drivable == {}


def test_the_map_of_a_scene_whose_labels_are_not_used_is_not_opened(copy: Path) -> None:
    """Boxes of a teacher come without one: nothing is known of the ground, and nothing is taught of it."""
    (copy / "maps" / "mask.png").unlink()
    source = open_dataset(copy, VERSION)
    nothing = BoxQueries(torch.zeros(0, 9), torch.zeros(0, dtype=torch.int64), torch.zeros(0), ())
    pseudo = PseudoLabels(lambda moment: nothing, frozenset(source.scene_names), {}, 0.3, "")
    data = LabelledDataset(source, SensorInputs(LidarSweeps()), map_grids=[GRID], pseudo=pseudo)
    assert (data[SampleRequest(0, 0)].drivable[GRID] == UNKNOWN).all()


def spoil(copy: Path, how: str) -> None:
    mask, table = copy / "maps" / "mask.png", copy / VERSION / "map.json"
    rows = json.loads(table.read_text())
    match how:
        case "no table":
            table.unlink()
        case "no file":
            mask.unlink()
        case "no picture":
            mask.write_bytes(b"no picture")
        case "cut off":
            mask.write_bytes(drawn_mask(mask, 500, 500).read_bytes()[:-200])
        case "of another recording":
            table.write_text(json.dumps([{**rows[0], "log_tokens": ["another"]}]))
        case "elsewhere":
            table.write_text(json.dumps([{**rows[0], "filename": "../mask.png"}]))


@pytest.mark.parametrize("how", ["no table", "no file", "no picture", "cut off", "of another recording", "elsewhere"])
def test_a_map_that_cannot_be_used_is_one_line_before_the_first_sample(copy: Path, how: str) -> None:
    spoil(copy, how)
    with pytest.raises(UserError, match="map") as error:
        LabelledDataset(open_dataset(copy, VERSION), SensorInputs(LidarSweeps()), map_grids=[GRID])
    assert "\n" not in str(error.value) and "; restore it, or train no class that is taught from maps" in str(
        error.value
    )


def test_a_mask_that_changed_is_read_again(copy: Path) -> None:
    before = open_dataset(copy, VERSION).map_mask("scene-0000")
    assert len(before.changes) == 0
    drawn_mask(copy / "maps" / "mask.png", 300, 300)
    drawn_mask(copy / "maps" / "mask.png", 4000, 11_000)
    assert len(open_dataset(copy, VERSION).map_mask("scene-0000").changes) > 100


def test_real_vehicles_stand_on_the_real_mask(real_keyframe: Path) -> None:
    source = open_dataset(real_keyframe, "v1.0-mini")
    assert isinstance(source, NuScenesDataset)
    annotated = source.annotated_keyframes(["scene-0061"])
    vehicles = annotated.boxes[np.isin(annotated.class_index, range(5)), :2]
    mask = source.map_mask("scene-0061")
    assert len(vehicles) >= 10 and (mask.at(vehicles) == 1).all() and (mask.at(annotated.vehicle) == 1).all()
    # mirrored or shifted it would not fit
    mirrored = np.column_stack((vehicles[:, 0], mask.rows * mask.resolution - vehicles[:, 1]))
    assert (mask.at(mirrored) == 1).mean() < 0.5 and (mask.at(vehicles + 12.0) == 1).mean() < 0.9


@pytest.mark.parametrize("how", ["no table", "no file", "of another recording", "elsewhere"])
def test_inspect_says_where_no_drivable_area_can_be_taught(copy: Path, how: str) -> None:
    def said() -> list[str]:
        return [verdict.why for verdict in inspect_dataset(copy, VERSION).verdicts if verdict.command == "finetune"]

    assert not any("map mask" in why for why in said())
    spoil(copy, how)
    assert all("no drivable area, as 1 scene (scene-000" in why and "no map mask" in why for why in said())
