"""The Kalman filter against the formulae of the cases in which they are short, and on motion of its own kind."""

import math

import numpy as np
import pytest

from avjepa.evaluate.motion import MotionModel
from avjepa.evaluate.reidentification.motion import fitted_motion, motion_log_likelihood
from avjepa.evaluate.reidentification.pairs import Pairs
from avjepa.evaluate.reidentification.sightings import Sightings
from tests.evaluate.reidentification.drives import TWO_CLASSES, Seen, drive


def pairs_of(places: list[list[tuple[int, float]]]) -> Pairs:
    """The last two sightings of cars, each sighted at some keyframes (two a second) and x."""
    cars = {number: {at: Seen(x=x) for at, x in seen} for number, seen in enumerate(places)}
    sightings = Sightings.of(drive(cars, scene_lengths=(60,)), TWO_CLASSES, 5)
    ends = np.cumsum([len(seen) for seen in places])
    return Pairs(sightings, ends - 2, ends - 1)


def normal(miss: float, variance: float) -> float:
    """Logarithm of a density on the ground, but for a constant."""
    return -(miss**2) / (2 * variance) - math.log(variance)


def test_what_was_sighted_once_spreads_by_its_unknown_velocity() -> None:
    # without forgetting: variance of two boxes' places, and of 3 m/s over 2 s
    found = motion_log_likelihood(MotionModel(0.5, 3.0, 1e4), pairs_of([[(0, 0.0), (4, 5.0)]]))
    assert found == pytest.approx([normal(5.0, 2 * 0.5**2 + (3.0 * 2.0) ** 2)], rel=1e-3)


def test_exact_sightings_go_on_with_their_velocity() -> None:
    # 4 m/s; then 1.5 s ahead, in which little is forgotten
    model = MotionModel(1e-3, 3.0, 1e4)
    expected, elsewhere = (
        motion_log_likelihood(model, pairs_of([[(0, 0.0), (1, 2.0), (4, x)]]))[0] for x in (8.0, 9.0)
    )
    assert expected > 5, "within centimetres"
    assert expected - elsewhere > 100


def test_a_velocity_that_is_forgotten_at_once_leaves_objects_where_they_were() -> None:
    moving = pairs_of([[(0, 0.0), (1, 2.0), (5, 2.0)], [(0, 0.0), (1, 2.0), (5, 10.0)]])
    stays, goes_on = motion_log_likelihood(MotionModel(0.5, 3.0, 0.05), moving)
    assert stays > goes_on
    stays, goes_on = motion_log_likelihood(MotionModel(0.1, 3.0, 100.0), moving)
    assert goes_on > stays


def test_noisy_sightings_are_averaged() -> None:
    # a parked car whose box jumps by .3 m: its last two boxes say that it moves at .6 m/s, to 2.7 m in 4 s
    jumps = [(at, 0.3 * (at % 2)) for at in range(12)]
    pairs = pairs_of([[*jumps, (19, 0.15)], [*jumps, (19, 2.7)]])
    assert pairs.miss() == pytest.approx([2.55, 0.0])
    still, gone = motion_log_likelihood(MotionModel(0.3, 1.0, 100.0), pairs)
    assert still > gone + 2


def test_the_model_is_found_again_from_motion_of_its_kind() -> None:
    draw, speed, memory, noise = np.random.default_rng(0), 2.0, 4.0, 0.3
    cars = []
    for _ in range(400):
        x, v, seen = 0.0, speed * draw.standard_normal(), []
        for at in range(16):
            if at < 6 or at == 15:
                seen.append((at, x + noise * draw.standard_normal()))
            for _ in range(50):  # small steps of the process itself
                x += 0.01 * v
                v += -0.01 * v / memory + speed * math.sqrt(2 * 0.01 / memory) * draw.standard_normal()
        cars.append(seen)
    # y does not move, so half of what is fitted is at rest: the speed is that of the mean power of both axes
    found = fitted_motion(pairs_of(cars))
    assert found.speed_sigma == pytest.approx(speed / math.sqrt(2), rel=0.25)
