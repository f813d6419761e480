"""Motion, size and embeddings on sightings whose scores can be worked out by hand."""

import numpy as np
import pytest

from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.fit import best_threshold, conditional_logit, fitted, miss_growth
from avjepa.evaluate.reidentification.methods import (
    EMBEDDING,
    GATED,
    KALMAN,
    MOTION_EMBEDDING,
    MOTION_SIZE,
    MOTION_TIME,
    MOTION_TIME_EMBEDDING,
    SIZE,
    VELOCITY,
    Parameters,
    Weights,
    most_alike,
    scores,
    weights_by_default,
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
    embeddings = np.full((len(crossing.sightings), 2), np.nan, np.float32)
    own = crossing.pair_sighting[0]
    embeddings[crossing.sighting[0]], embeddings[own] = (1, 0), (0.6, 0.8)
    pairs = Pairs.of_galleries(crossing)
    found = scores(pairs, Parameters(weights=weights_by_default(0.5)), 0, embeddings)
    assert found[EMBEDDING] == pytest.approx([0.6, np.nan], nan_ok=True)
    assert found[MOTION_EMBEDDING] == pytest.approx([found[KALMAN][0] + 0.6 / 0.5, found[KALMAN][1]])
    assert found[MOTION_TIME].tolist() == found[KALMAN].tolist(), "where nothing was fitted, time is of no account"
    # car 1 was seen 2 s ago, car 2 half a second ago
    told = Parameters(weights=weights_by_default(0.5) | {MOTION_TIME_EMBEDDING: Weights(0.5, 3.0, 10.0)})
    expected = 0.5 * found[KALMAN] + 3 * np.log([2.0, 0.5]) + [6.0, 0.0]
    assert scores(pairs, told, 0, embeddings)[MOTION_TIME_EMBEDDING] == pytest.approx(expected)


def test_the_most_alike_sighting_up_to_the_earlier_one_counts() -> None:
    """Cosines with the last sighting, at (1, 0): .6, unknown, 0 and (later than the earlier one) 1."""
    sightings = queries_of(drive({1: {at: Seen() for at in range(5)}, 2: {0: Seen()}})).sightings
    embeddings = np.array([(0.6, 0.8), (np.nan, np.nan), (0, 1), (1, 0), (1, 0), (-1, 0)], np.float32)
    alike = most_alike(Pairs(sightings, np.array([0, 1, 2, 3, 5]), np.array([4, 4, 4, 4, 4])), embeddings)
    assert alike == pytest.approx([0.6, 0.6, 0.6, 1, -1])
    alike = most_alike(Pairs(sightings, np.array([0, 1]), np.array([1, 2])), embeddings)
    assert alike == pytest.approx([np.nan, 0.8], nan_ok=True)


def test_weights_are_found_again_from_choices_that_were_made_by_them() -> None:
    """Events whose own object is drawn with the probabilities that weights of (.5, 2, 8) give to ten entries."""
    draw = np.random.default_rng(0)
    events, entries = 4_000, 10
    told = draw.normal(size=(events, entries, 3)) * [4.0, 0.7, 0.3]
    chance = np.exp(told @ [0.5, 2.0, 8.0])
    own = (chance.cumsum(1) / chance.sum(1, keepdims=True) < draw.random((events, 1))).sum(1)
    sightings = queries_of(drive({1: {0: Seen()}})).sightings
    entry = np.arange(events * entries)
    query = entry // entries
    last = np.arange(events) * entries + own
    queries = Queries(sightings, np.zeros(events, np.int64), last, np.ones(events), query, entry)
    found = conditional_logit(told.reshape(-1, 3), queries, ("motion", "time", "embedding"), Weights())
    assert (found.motion, found.time, found.embedding) == pytest.approx((0.5, 2.0, 8.0), rel=0.1)
    some = conditional_logit(told.reshape(-1, 3), queries, ("motion",), Weights(1.0, 2.0, 8.0))
    assert (some.motion, some.time, some.embedding) == (pytest.approx(0.5, rel=0.1), 2.0, 8.0)


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
    found = fitted(queries, 0, embeddings, Parameters(weights=weights_by_default(5.0)))
    assert found.miss_at_once**2 + found.miss_per_second**2 == pytest.approx(1 / 2, rel=0.01), (
        "1 m on two axes after 1 s"
    )
    assert found.size_sigma == pytest.approx(np.log(1.05) / np.sqrt(3))
    assert found.weights[MOTION_EMBEDDING].embedding > 5, "embeddings that are always right are believed"
    assert 0 < found.thresholds[EMBEDDING] < 1


def test_the_best_threshold_tells_most_pairs_right() -> None:
    values = np.array([0.9, 0.8, 0.7, 0.4, 0.3, np.nan])
    assert best_threshold(values, np.array([True, True, False, True, False, True])) == pytest.approx(0.75)
    assert best_threshold(np.array([1.0, 1.0]), np.array([False, True])) == np.inf, "equal scores are not split"
    assert best_threshold(np.array([0.5, -np.inf]), np.array([True, False])) == 0.5
