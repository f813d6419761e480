"""Objects at known places, with known sizes and velocities, on a slope."""

import numpy as np
import pytest

from avjepa.data.arrays import Array
from avjepa.pseudo_objects.boxes import fitted_rectangle
from avjepa.pseudo_objects.classes import KINDS
from avjepa.pseudo_objects.clusters import column_top
from avjepa.pseudo_objects.ground import fit_ground
from avjepa.pseudo_objects.scene import Objects, Sweep, objects_of_scene
from tests.pseudo_objects.streets import SLOPE, box_points, street, sweeps

CAR = (4.6, 1.9, 1.6)
YAW = np.deg2rad(25.0)
VELOCITY = 8.0 * np.array([np.cos(YAW), np.sin(YAW)])
START = np.array([6.0, 6.0])


def moving_car(time: float, vehicle: Array, generator: np.random.Generator) -> Array:
    return box_points(START + time * VELOCITY, CAR, YAW, vehicle, generator, 120)


def parked_car(time: float, vehicle: Array, generator: np.random.Generator) -> Array:
    return box_points((14.0, -6.0), CAR, 0.1, vehicle, generator, 120)


def walker(time: float, vehicle: Array, generator: np.random.Generator) -> Array:
    return box_points((20.0, 2.0 + 1.4 * time), (0.5, 0.5, 1.75), np.pi / 2, vehicle, generator, 25)


def wall(time: float, vehicle: Array, generator: np.random.Generator) -> Array:
    return box_points((16.0, -18.0), (30.0, 0.3, 3.0), 0.0, vehicle, generator, 2000)


def post(time: float, vehicle: Array, generator: np.random.Generator) -> Array:
    return box_points((18.0, -10.0), (0.2, 0.2, 5.5), 0.0, vehicle, generator, 60)


def named(objects: Objects, name: str) -> list[Array]:
    return [box for box, kind in zip(objects.boxes, objects.kinds, strict=True) if name in kind.names]


@pytest.fixture(scope="module")
def found() -> list[Objects]:
    return objects_of_scene(sweeps((moving_car, parked_car, walker, wall, post)), KINDS)


def test_every_object_is_found_at_every_keyframe_and_nothing_else(found: list[Objects]) -> None:
    """A wall is too long for an object, and a post too thin for its height."""
    assert len(found) == 9
    for objects in found[1:-1]:
        assert sorted(kind.names[0] for kind in objects.kinds) == ["car", "car", "pedestrian"]
        assert ((objects.scores > 0) & (objects.scores <= 1)).all()


def test_a_moving_car_has_its_place_size_heading_and_velocity(found: list[Objects]) -> None:
    for number, objects in enumerate(found[1:-1], 1):
        (box,) = [box for box in named(objects, "car") if np.hypot(*box[7:9]) > 0]
        centre = START + 0.5 * number * VELOCITY
        assert np.linalg.norm(box[:2] - centre) < 0.4
        assert box[7:9] == pytest.approx(VELOCITY, abs=0.6)
        assert abs(box[6] - YAW) < np.deg2rad(5)
        assert box[3:6] == pytest.approx(CAR, abs=0.5)
        assert box[2] == pytest.approx(SLOPE * centre[0] + CAR[2] / 2, abs=0.3)


def test_a_parked_car_stands_and_is_completed_where_nobody_sees_it(found: list[Objects]) -> None:
    for objects in found[1:-1]:
        (box,) = [box for box in named(objects, "car") if np.hypot(*box[7:9]) == 0]
        assert np.linalg.norm(box[:2] - (14.0, -6.0)) < 0.4
        assert box[3:6] == pytest.approx(CAR, abs=0.5)
        assert abs(box[6] - 0.1) < np.deg2rad(5)


def test_a_walker_walks(found: list[Objects]) -> None:
    for number, objects in enumerate(found[1:-1], 1):
        (box,) = named(objects, "pedestrian")
        assert np.linalg.norm(box[:2] - (20.0, 2.0 + 1.4 * 0.5 * number)) < 0.4
        assert box[7:9] == pytest.approx((0.0, 1.4), abs=0.3)


def test_the_same_sweeps_give_the_same_objects(found: list[Objects]) -> None:
    again = objects_of_scene(sweeps((moving_car, parked_car, walker, wall, post)), KINDS)
    for one, other in zip(found, again, strict=True):
        assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.scores, other.scores)
        assert one.kinds == other.kinds


def test_a_scene_without_points_has_no_objects() -> None:
    nothing = [Sweep(0.1 * n, np.zeros((0, 3)), np.zeros(2), 0.0, n % 2 == 0) for n in range(4)]
    assert [len(objects.boxes) for objects in objects_of_scene(nothing, KINDS)] == [0, 0]


def test_the_ground_rises_with_the_street_and_not_below_a_car() -> None:
    generator = np.random.default_rng(0)
    roof = np.stack((generator.uniform(8, 12, 400), generator.uniform(-1, 1, 400), np.full(400, 0.8 + 1.6)), axis=1)
    points = street(np.zeros(2), generator)
    road = points[~((np.abs(points[:, 0] - 10) < 2) & (np.abs(points[:, 1]) < 1))]
    echo = np.array([[-9.5, -9.5, -4.0]] * 3)
    ground = fit_ground(np.concatenate((road, roof, echo)))
    away = np.linalg.norm(road[:, :2], axis=1) < 30
    assert np.abs(ground.heights(road[away])).max() < 0.25
    assert ground.heights(roof) == pytest.approx(1.6 + SLOPE * (10 - roof[:, 0]), abs=0.3)


@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0, 80.0])
def test_two_sides_of_a_rectangle_give_its_direction(degrees: float) -> None:
    """An L: the corner nearest to the sensor and its two edges, of which the principal axis is neither."""
    yaw = np.deg2rad(degrees)
    long = np.stack((np.linspace(0, 4, 80), np.zeros(80)), axis=1)
    short = np.stack((np.zeros(40), np.linspace(0, 2, 40)), axis=1)
    turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    found = fitted_rectangle(np.concatenate((long, short)) @ turn)
    assert abs(np.sin(found.yaw - yaw)) < np.sin(np.deg2rad(2.1))
    assert found.size == pytest.approx((4.0, 2.0), abs=0.15)
    assert found.centre == pytest.approx(np.array([2.0, 1.0]) @ turn, abs=0.15)


def test_a_box_grows_away_from_the_sensor() -> None:
    rear = np.stack((np.full(40, 10.0), np.linspace(-0.9, 0.9, 40)), axis=1)
    seen = fitted_rectangle(rear).quarter_turn()
    whole = seen.grown(np.array([4.5, 1.8]), np.zeros(2))
    assert whole.size == pytest.approx((4.5, 1.8), abs=0.05)
    assert whole.centre == pytest.approx((12.25, 0.0), abs=0.05)


def test_what_hangs_over_an_object_is_not_part_of_it() -> None:
    car, crown = np.linspace(0.3, 1.5, 30), np.linspace(3.2, 5.9, 30)
    assert column_top(np.concatenate((car, crown))) == pytest.approx(1.5)
    assert column_top(np.linspace(0.3, 5.9, 60)) == pytest.approx(5.9)
