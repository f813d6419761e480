"""Scores of rankings, against cases that are worked out by hand."""

import math

import numpy as np
import pytest

from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.scores import (
    Outcome,
    auroc,
    false_positive_rate,
    figures,
    pair_figures,
)
from avjepa.evaluate.reidentification.sightings import Sightings
from avjepa.evaluate.reidentification.slices import slices
from tests.evaluate.reidentification.drives import TWO_CLASSES, Seen, drive

GONE = Seen(points=0)


@pytest.fixture
def three() -> Queries:
    """Car 1 comes back with the gallery (1, 2, 3), and car 4 is newborn with the same gallery."""
    standing = {0: Seen(), 1: Seen(), 2: Seen()}
    annotated = drive({1: {0: Seen(), 1: GONE, 2: Seen()}, 2: standing, 3: standing, 4: {2: Seen()}})
    return Queries.of(Sightings.of(annotated, TWO_CLASSES, 5))


@pytest.mark.parametrize(
    ("own", "others", "first", "reciprocal"),
    [
        (3.0, (1.0, 2.0), 1, 1),
        (2.0, (1.0, 3.0), 0, 1 / 2),
        (1.0, (2.0, 3.0), 0, 1 / 3),
        (2.0, (2.0, 1.0), 1 / 2, (1 + 1 / 2) / 2),
        (2.0, (2.0, 3.0), 0, (1 / 2 + 1 / 3) / 2),
        (-math.inf, (-math.inf, -math.inf), 0, 0),  # refused
        (math.nan, (1.0, 2.0), 0, 0),  # nothing is known of it
        (0.0, (math.nan, -math.inf), 1, 1),
    ],
)
def test_ranks_ties_and_refusals(three: Queries, own: float, others: tuple, first: float, reciprocal: float) -> None:
    # the queries are ordered by object: car 1 comes first, then car 4, whose gallery scores 5, 6 and 7
    outcome = Outcome.of(three, np.array([own, *others, 5.0, 6.0, 7.0]))
    assert outcome.first[0] == pytest.approx(first)
    assert outcome.reciprocal[0] == pytest.approx(reciprocal)
    assert np.isnan(outcome.first[1])
    assert outcome.best[1] == 7


def test_a_newborn_of_which_nothing_can_be_told_counts_as_known(three: Queries) -> None:
    outcome = Outcome.of(three, np.array([1.0, 0.0, 0.0, *[math.nan] * 3]))
    assert outcome.best.tolist() == [1, math.inf]
    refused = Outcome.of(three, np.array([1.0, 0.0, 0.0, *[-math.inf] * 3]))
    assert refused.best.tolist() == [1, -math.inf], "to refuse every entry is to call it new"


def test_area_under_the_curve() -> None:
    positive, negative = np.array([0.9, 0.6, 0.4]), np.array([0.8, 0.4, 0.1, 0.1])
    # .9 beats 4, .6 beats 3, .4 beats 2 and ties with 1: (4 + 3 + 2.5) / 12
    assert auroc(positive, negative) == pytest.approx(9.5 / 12)
    assert math.isnan(auroc(positive, negative[:0]))


def test_false_positives_where_95_percent_are_found() -> None:
    positive = np.arange(1, 21, dtype=float)  # 19 of 20 reach 2
    assert false_positive_rate(positive, np.array([0.0, 1.0, 2.0, 30.0])) == pytest.approx(2 / 4)
    # with ten positives, nine are less than 95 %: all have to be found
    assert false_positive_rate(np.arange(10.0), np.array([-1.0, 0.0, 0.5])) == pytest.approx(2 / 3)
    # equal scores are found together
    assert false_positive_rate(np.zeros(5), np.zeros(3)) == 1


def test_intervals_are_over_scenes() -> None:
    # ten scenes: in five all events are recognised, in five none; a share of scenes has a standard error of .158
    one = {0: Seen(), 1: GONE, 2: Seen()}
    objects = {n: {3 * n + at: seen for at, seen in one.items()} for n in range(10)}
    queries = Queries.of(Sightings.of(drive(objects, scene_lengths=(3,) * 10), TWO_CLASSES, 5))
    recognised = np.tile([1.0, 0.0], 5)
    outcome = Outcome(recognised, recognised, np.zeros(10))
    everything, scene = np.ones(10, bool), queries.sightings.scene[queries.sighting]
    found = figures(outcome, scene, everything, ~everything, seed=0)
    assert found.rank1 == 0.5
    low, high = found.intervals["rank1"]
    assert (low, high) == pytest.approx((0.2, 0.8), abs=0.051), "quantiles of a binomial distribution of ten"
    assert found == figures(outcome, scene, everything, ~everything, seed=0), "drawn with a seed"
    assert figures(outcome, np.zeros(10, np.int64), everything, ~everything, seed=0).intervals == {}


def test_pairs_are_told_from_a_threshold_on() -> None:
    same = np.array([True, True, True, False, False, False])
    found = pair_figures(np.array([0.9, 0.5, 0.1, 0.6, 0.2, np.nan]), same, 0.5)
    assert found is not None
    assert found.accuracy == pytest.approx(3 / 6), "two hits and one right refusal; what is not known is wrong"
    assert found.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert pair_figures(np.zeros(0), np.zeros(0, bool), 0.5) is None


def test_slices_say_which_newborns_events_are_told_from() -> None:
    near, far = Seen(points=7, x=3.0, velocity=(0.0, 0.1)), Seen(points=30, x=30.0, velocity=(5.0, 0.0))
    annotated = drive(
        {
            1: {0: near, 1: GONE, 2: near},  # 1 s, 3 m away, parked
            2: {0: far, 1: GONE, 6: far},  # 3 s, 30 m away, moving
            3: {1: near},
            4: {1: far},
        }
    )
    queries = Queries.of(Sightings.of(annotated, TWO_CLASSES, 5))
    sizes = {(part.group, part.name): (int(part.events.sum()), int(part.newborns.sum())) for part in slices(queries)}
    assert sizes == {
        ("all", "all"): (2, 2),
        ("gap", "0.5-1"): (1, 2),
        ("gap", "1-2"): (0, 2),
        ("gap", "2-5"): (1, 2),
        ("gap", ">5"): (0, 2),
        ("gap", ">2"): (1, 2),
        ("class", "car"): (2, 2),
        ("points", "5-20"): (1, 1),
        ("points", "20-100"): (1, 1),
        ("distance", "<20"): (1, 1),
        ("distance", "20-40"): (1, 1),
        ("motion", "parked"): (1, 1),
        ("motion", "moving"): (1, 1),
    }
