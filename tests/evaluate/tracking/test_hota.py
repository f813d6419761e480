"""HOTA by hand, and equal to that of the program of its authors."""

import math

import numpy as np
import pytest

from avjepa.evaluate.tracking.hota import (
    HotaCounts,
    SequenceMoment,
    counts,
    counts_by_trackeval,
    has_trackeval,
    similarity,
)


def moment(truth: list[int], tracked: list[int], alike: list[list[float]] | None = None) -> SequenceMoment:
    """Boxes of objects and tracks; similar at their places in the lists unless it is said otherwise."""
    matrix = np.eye(len(truth), len(tracked)) if alike is None else np.array(alike, float)
    return SequenceMoment(np.array(truth, np.int64), np.array(tracked, np.int64), matrix)


def test_similarity_falls_to_nothing_at_two_metres() -> None:
    found = similarity(np.zeros((1, 2)), np.array([[0.0, 0.0], [0.6, 0.8], [2.0, 0.0], [9.0, 9.0]]))
    assert found == pytest.approx(np.array([[1.0, 0.5, 0.0, 0.0]]))


def test_perfect_tracks_have_all() -> None:
    assert counts([moment([0, 1], [1, 0])] * 4).figures() == pytest.approx({"HOTA": 1.0, "AssA": 1.0, "DetA": 1.0})


def test_a_track_that_breaks_in_the_middle_has_half_its_association() -> None:
    # each half: 2 keyframes of both, 4 of the object, 2 of the track: 2 / (4 + 2 - 2)
    found = counts([moment([0], [0])] * 2 + [moment([0], [1])] * 2).figures()
    assert found == pytest.approx({"HOTA": math.sqrt(0.5), "AssA": 0.5, "DetA": 1.0})


def test_an_exchange_of_two_tracks_after_a_quarter() -> None:
    # per object 1 of 4 keyframes by one track, 3 by the other: (1 * 1/7 + 3 * 3/5) / 4
    found = counts([moment([0, 1], [0, 1])] + [moment([0, 1], [1, 0])] * 3).figures()
    assert found["AssA"] == pytest.approx((1 / 7 + 9 / 5) / 4)


def test_boxes_that_are_missed_invented_and_off() -> None:
    # found at similarity .5, that is at 10 of 19 thresholds; one missed, one invented
    found = counts([moment([0, 1], [0, 1], [[0.5, 0], [0, 0]])])
    assert found.figures()["DetA"] == pytest.approx(10 / 19 / 3)
    assert found.missed[0] == found.false[0] == 1 and found.missed[-1] == found.false[-1] == 2


def test_without_boxes_there_is_nothing_to_be_found() -> None:
    assert counts([moment([], [])] * 2).figures() == {"HOTA": 0.0, "AssA": 0.0, "DetA": 0.0}
    assert counts([]).figures()["HOTA"] == 0.0
    assert counts([moment([0], [])]).missed.tolist() == [1.0] * 19
    assert counts([moment([], [0])]).false.tolist() == [1.0] * 19


@pytest.mark.skipif(not has_trackeval(), reason="trackeval is not installed (see the extra 'tracking')")
def test_it_is_the_authors_hota() -> None:
    draw = np.random.default_rng(0)

    def drawn() -> SequenceMoment:
        truth, tracked = (draw.permutation(many)[: draw.integers(0, many)] for many in (6, 8))
        alike = 0.7 * (truth[:, None] == tracked) + draw.normal(0, 0.25, (len(truth), len(tracked)))
        return SequenceMoment(truth, tracked, alike.clip(0, 1))

    sequences = [[drawn() for _ in range(12)] for _ in range(3)]
    own, theirs = ([count(sequence) for sequence in sequences] for count in (counts, counts_by_trackeval))
    for one, other in zip(own, theirs, strict=True):
        for name in ("found", "missed", "false", "association"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)
    assert 0.1 < HotaCounts.sum(own).figures()["AssA"] < 0.9

    from trackeval.metrics import HOTA

    fields = ("HOTA_TP", "HOTA_FN", "HOTA_FP")
    of_each = {
        str(number): dict(zip(fields, (one.found, one.missed, one.false), strict=True))
        | {name: one.association / np.maximum(1, one.found) for name in ("AssA", "AssRe", "AssPr")}
        | {"LocA": np.ones(19)}
        for number, one in enumerate(theirs)
    }
    together = HOTA().combine_sequences(of_each)
    assert HotaCounts.sum(own).figures() == pytest.approx(
        {name: together[name].mean() for name in ("HOTA", "AssA", "DetA")}
    )
