"""Motion, size and embeddings on sightings whose scores can be worked out by hand."""

import numpy as np
import pytest

from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.fit import best_threshold, fitted, miss_growth
from avjepa.evaluate.reidentification.methods import (
    EMBEDDING,
    GATED,
    KALMAN,
    MOTION_EMBEDDING,
    MOTION_SIZE,
    SIZE,
    VELOCITY,
    Parameters,
    scores,
)
from avjepa.evaluate.reidentification.pairs import Pairs, balanced_pairs
from avjepa.evaluate.reidentification.sightings import Sightings
from tests.evaluate.reidentification.drives import TWO_CLASSES, Seen, drive

GONE = Seen(points=0)


def queries_of(annotated: AnnotatedKeyframes) -> Queries:
    return Queries.of(Sightings.of(annotated, TWO_CLASSES, 5))


@pytest.fixture
def crossing() -> Queries:
    """Car 1 drives 2 m a keyframe (4 m/s) to x = 2 m, is hidden for three keyframes and comes back at x = 10.5 m, where
    car 2 has been standing 1.5 m away all the time. The annotated velocities are nonsense that nobody may use."""
    moving = {0: Seen(x=0.0, velocity=(99, 99)), 1: Seen(x=2.0, velocity=(99, 99)), 2: GONE, 3: GONE, 4: GONE}
    parked = {number: Seen(x=12.0, size=(4.4, 2.0, 1.5)) for number in range(5)}
    return queries_of(drive({1: moving | {5: Seen(x=10.5)}, 2: parked}))


def test_a_constant_velocity_is_taken_from_the_last_two_sightings(crossing: Queries) -> None:
    pairs = Pairs.of_galleries(crossing)
    assert pairs.are_same.tolist() == [True, False]
    # car 1 is expected at 2 m + 4 m/s * 2 s = 10 m, half a metre off; car 2 at 12 m
    assert pairs.miss() == pytest.approx([0.5, 1.5])
    found = scores(pairs, Parameters(miss_at_once=0.3, miss_per_second=0.2), 0)
    assert found[VELOCITY] == pytest.approx([-0.5, -1.5])
    # the gate is at 2.448 times sqrt(.09 + (.2 * 2)^2) = .5 m, and at 2.448 times sqrt(.09 + (.2 * .5)^2) = .316 m
    assert found[GATED] == pytest.approx([-0.5, -np.inf])
    ratio = np.log(4.0 / 4.4)
    assert found[SIZE] == pytest.approx([0, -(ratio**2) / (2 * 0.05**2)])
    assert found[MOTION_SIZE] == pytest.approx(found[KALMAN] + found[SIZE])


def test_an_object_that_was_sighted_once_is_expected_where_it_was() -> None:
    queries = queries_of(drive({1: {0: Seen(x=0.0, velocity=(9, 0)), 1: GONE, 2: Seen(x=3.0)}}))
    assert Pairs.of_galleries(queries).miss() == pytest.approx([3.0])


def test_velocity_is_over_the_time_between_the_sightings() -> None:
    # 4 m in 2 s; then 1 s at 2 m/s from x = 4 m
    seen = {0: Seen(x=0.0), 1: GONE, 4: Seen(x=4.0), 5: GONE, 6: Seen(x=6.0)}
    queries = queries_of(drive({1: seen}))
    assert queries.gap == pytest.approx([2.0, 1.0])
    assert Pairs.of_galleries(queries).miss() == pytest.approx([4.0, 0.0])


def test_embeddings_are_compared_by_their_angle_and_added_to_motion(crossing: Queries) -> None:
    embeddings = np.zeros((len(crossing.sightings), 2), np.float32)
    own, other = crossing.pair_sighting
    embeddings[crossing.sighting[0]], embeddings[own], embeddings[other] = (1, 0), (0.6, 0.8), (np.nan, np.nan)
    pairs = Pairs.of_galleries(crossing)
    found = scores(pairs, Parameters(temperature=0.5), 0, embeddings)
    assert found[EMBEDDING] == pytest.approx([0.6, np.nan], nan_ok=True)
    assert found[MOTION_EMBEDDING] == pytest.approx([found[KALMAN][0] + 0.6 / 0.5, found[KALMAN][1]])


def test_balanced_pairs_are_of_one_object_or_of_two_of_its_class_in_its_scene() -> None:
    lengths = (10, 10)
    objects = {track: {at: Seen() for at in range(10)} for track in (1, 2, 3, 4)}
    objects |= {track: {at: Seen() for at in range(10, 20)} for track in (5, 6)}
    categories = {3: "human", 4: "human", 6: "human"}  # 5 and 6 are alone of their class in their scene
    sightings = Sightings.of(drive(objects, categories, lengths), TWO_CLASSES, 5)
    pairs = balanced_pairs(sightings, seed=3)
    half = len(pairs) // 2
    assert half == 4 * 9, "every sighting but the first one of each object that can be mistaken for another"
    assert pairs.are_same.tolist() == [True] * half + [False] * half
    assert (sightings.kind[pairs.earlier] == sightings.kind[pairs.later]).all()
    assert (sightings.scene[pairs.earlier] == sightings.scene[pairs.later]).all()
    assert (sightings.keyframe[pairs.earlier] < sightings.keyframe[pairs.later]).all()
    again, others = balanced_pairs(sightings, seed=3), balanced_pairs(sightings, seed=4)
    assert again.earlier.tolist() == pairs.earlier.tolist() != others.earlier.tolist()


def test_the_gate_is_fitted_to_what_was_missed() -> None:
    draw = np.random.default_rng(0)
    gap = draw.uniform(1, 8, 20_000)
    sigma = np.hypot(0.4, 0.7 * gap)
    miss = np.hypot(*(sigma * draw.standard_normal((2, len(gap)))))
    assert miss_growth(miss, gap) == pytest.approx((0.4, 0.7), rel=0.15)


def test_few_events_fit_nothing_and_many_fit_all(crossing: Queries) -> None:
    assert fitted(crossing, 0) == Parameters()
    # twelve cars, each hidden once, come back 1 m off; a pair of embeddings agrees if it is of one car
    cars = {n: {0: Seen(y=0.2 * n), 1: GONE, 2: Seen(x=1.0, y=0.2 * n, size=(4.2, 2.0, 1.5))} for n in range(12)}
    queries = queries_of(drive(cars))
    embeddings = np.eye(12, dtype=np.float32)[queries.sightings.object]
    found = fitted(queries, 0, embeddings)
    assert found.miss_at_once**2 + found.miss_per_second**2 == pytest.approx(1 / 2, rel=0.01), (
        "1 m on two axes after 1 s"
    )
    assert found.size_sigma == pytest.approx(np.log(1.05) / np.sqrt(3))
    assert found.temperature < 0.05, "embeddings that are always right are believed"
    assert 0 < found.thresholds[EMBEDDING] < 1


def test_the_best_threshold_tells_most_pairs_right() -> None:
    values = np.array([0.9, 0.8, 0.7, 0.4, 0.3, np.nan])
    assert best_threshold(values, np.array([True, True, False, True, False, True])) == pytest.approx(0.75)
    assert best_threshold(np.array([1.0, 1.0]), np.array([False, True])) == np.inf, "equal scores are not split"
    assert best_threshold(np.array([0.5, -np.inf]), np.array([True, False])) == 0.5
