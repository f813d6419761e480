"""Rain takes far points, adds false ones and wets lenses; dry, nothing of a world changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avjepa.errors import UserError
from avjepa.synth.dataset.generate import synthesise
from avjepa.synth.dataset.truth import Boxes
from avjepa.synth.sensors.lidar import BEAMS, beam_directions, nearest_rings
from avjepa.synth.weather.camera import rainy_image
from avjepa.synth.weather.lidar import rainy_points, spray_behind
from avjepa.synth.weather.rain import LEVELS, Rain, rain_of

NOTHING = Rain(0.0, 0.0, 0.0, 0.0, 0.04, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ROAD = -1.8
SIZE: dict[str, Any] = {"keyframes": 2, "image_width": 32, "sweep_rate": 4.0, "val_fraction": 0.0}


def sweep(distance: float = 50.0) -> np.ndarray:
    """Points at one distance in all directions of the beams, in the order of a sweep."""
    directions = beam_directions()
    points = np.zeros((len(directions), 5), np.float32)
    points[:, :3] = distance * directions
    points[:, 3] = 100
    points[:, 4] = np.tile(np.arange(BEAMS), len(directions) // BEAMS)
    return points


def rainy(points: np.ndarray, seed: int = 0, spray: int = 0, **changes: float) -> np.ndarray:
    rain = Rain(**{**NOTHING.__dict__, **changes})
    places = np.random.default_rng(1).normal(5, 1, (spray, 3)).astype(np.float32)
    return rainy_points(points, places, ROAD, rain, np.random.default_rng(seed))


def test_no_rain_changes_nothing_and_the_order_is_that_of_a_sweep() -> None:
    points = sweep()
    assert np.array_equal(np.sort(rainy(points), axis=0), np.sort(points, axis=0))
    phase = (-np.pi / 2 - np.arctan2(*rainy(points, scatter=0.1, mirrored=0.2, spray=50).T[[1, 0]])) % (2 * np.pi)
    assert (np.diff(phase) >= 0).all()


def test_light_is_lost_on_the_way_there_and_back() -> None:
    points = sweep(50.0)
    left = rainy(points, extinction=0.01)
    assert len(left) / len(points) == pytest.approx(np.exp(-2 * 0.01 * 50), rel=0.03)
    assert set(left[:, 3]) == {round(100 * float(np.exp(np.float32(-1.0))))}


def test_drops_answer_in_front_of_what_is_there() -> None:
    points = sweep(30.0)
    seen = rainy(points, scatter=0.1)
    distance = np.linalg.norm(seen[:, :3], axis=1)
    near = distance < 29
    assert len(seen) == len(points) and near.mean() == pytest.approx(0.1, rel=0.1)
    assert distance.max() < 30.01 and seen[near, 3].max() < 8 and distance[near].min() >= 1.4


def test_a_wet_road_mirrors_what_stands_on_it() -> None:
    every = sweep(20.0)
    points = every[every[:, 2] > ROAD + 0.3]
    seen = rainy(points, mirrored=0.25)
    below = seen[seen[:, 2] < ROAD]
    assert len(seen) - len(points) == len(below) == pytest.approx(0.25 * len(points), rel=0.1)
    # a mirror image keeps its place and is as far below the road as its original above
    known = {tuple(np.round((x, y, 2 * ROAD - z), 2)) for x, y, z in points[:, :3].astype(float)}
    assert all(tuple(np.round(row[:3].astype(float), 2)) in known for row in below)


def test_spray_is_behind_wide_vehicles_that_move() -> None:
    yaw = np.array([0.0, 0.7, 0.0, 0.0])
    sizes = np.array([[2.0, 5.0, 1.6], [2.5, 9.0, 3.0], [0.7, 1.8, 1.5], [2.0, 5.0, 1.6]])
    centre = np.array([[12.0, 0, 1], [0, 15.0, 1.5], [10, 5, 1], [14, -5, 1]])
    boxes = Boxes(centre, sizes, yaw)
    forward = np.column_stack((np.cos(yaw), np.sin(yaw)))
    velocity = np.array([10.0, 8.0, 10.0, 0.0])[:, None] * forward  # the third is narrow, the fourth stands
    rain = Rain(**{**NOTHING.__dict__, "spray": 200.0})
    places = spray_behind(boxes, velocity, np.zeros(3), rain, np.random.default_rng(0))
    of = np.linalg.norm(places[:, None, :2] - centre[None, :2, :2], axis=2).argmin(1)
    for actor in (0, 1):
        own = places[of == actor, :2] - centre[actor, :2]
        assert len(own) > 50 and (own @ forward[actor]).max() <= -sizes[actor, 1] / 2 + 1e-9
    assert places[:, 2].min() >= 0


def test_a_ring_is_that_of_the_nearest_beam() -> None:
    points = sweep(10.0)
    assert np.array_equal(nearest_rings(points[:, :3]), points[:, 4])


def test_images_lose_contrast_and_gain_noise_by_level() -> None:
    image = np.zeros((90, 160, 3), np.uint8)
    image[::2] = 180
    spread, change = [], []
    for level in range(1, LEVELS + 1):
        rain = rain_of(level)
        assert rain is not None
        wet = rainy_image(image, rain, np.random.default_rng(0))
        again = rainy_image(image, rain, np.random.default_rng(0))
        assert np.array_equal(wet, again) and wet.shape == image.shape
        spread.append(float(wet[::2].mean()) - float(wet[1::2].mean()))
        change.append(float(np.abs(wet.astype(float) - image).mean()))
    assert 180 > spread[0] > spread[1] > spread[2] > 80 and change[0] < change[1] < change[2]
    assert np.array_equal(rainy_image(image, NOTHING, np.random.default_rng(0)), image)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street without rain, and twice in heavy rain. Not to be changed."""
    folder = tmp_path_factory.mktemp("worlds")
    for name, rain in (("dry", 0), ("wet", 3), ("again", 3)):
        synthesise(folder / name, 1, 5, rain=rain, workers=1, **SIZE)
    return folder


def test_a_world_in_the_rain_has_the_same_street_and_is_written_alike_twice(worlds: Path, tmp_path: Path) -> None:
    files = {
        name: {p.relative_to(worlds / name): p for p in (worlds / name).rglob("*.*")}
        for name in ("dry", "wet", "again")
    }
    assert all(
        files["again"][at].read_bytes() == path.read_bytes() for at, path in files["wet"].items() if path.is_file()
    )
    same = [path for path in files["dry"] if path.name == "ego_pose.json"]
    assert len(same) == 1 and files["dry"][same[0]].read_text() == files["wet"][same[0]].read_text()
    for at, path in files["dry"].items():
        if path.suffix in (".bin", ".pcd", ".jpg"):
            assert path.read_bytes() != files["wet"][at].read_bytes()
    scene = next(path for path in files["wet"].values() if path.name == "scene.json")
    assert "heavy rain" in scene.read_text()
    with pytest.raises(UserError, match="rain is 4"):
        synthesise(tmp_path / "more", 1, 5, rain=4)
    with pytest.raises(UserError, match="rain 0 instead of 2"):
        synthesise(worlds / "dry", 1, 5, rain=2, **SIZE)


def test_radars_receive_more_that_is_not_there(worlds: Path) -> None:
    sizes = {name: [path.stat().st_size for path in (worlds / name).rglob("*.pcd")] for name in ("dry", "wet")}
    means = {name: sum(of_one) / len(of_one) for name, of_one in sizes.items()}
    assert means["wet"] > means["dry"] + 5 * 43, "five returns of 43 bytes"
