"""Which events are shown, and what of their galleries."""

import numpy as np

from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.pairs import Pairs
from avjepa.evaluate.reidentification.shown_events import drawn_events
from avjepa.evaluate.reidentification.sightings import Sightings
from tests.evaluate.reidentification.drives import TWO_CLASSES, Seen, drive

GONE = Seen(points=0)


def crowd(cars: int) -> Queries:
    """Cars that are seen, are hidden for 1 s (even ones) or 3 s (odd ones), and come back."""
    short = {0: Seen(), 1: GONE, 2: Seen()}
    long = {0: Seen(), **{at: GONE for at in range(1, 6)}, 6: Seen()}
    return Queries.of(Sightings.of(drive({n: long if n % 2 else short for n in range(cars)}), TWO_CLASSES, 5))


def test_right_and_wrong_events_of_every_range_are_drawn_and_counted() -> None:
    queries = crowd(16)
    pairs = Pairs.of_galleries(queries)
    # the own car is the best one where its number is divisible by four or five, else the worst
    own = queries.sightings.track[queries.sighting][queries.pair_query]
    known = (own % 4 == 0) | (own % 5 == 0)
    scores = np.where(pairs.are_same, np.where(known, 2.0, -1.0), -0.01 * queries.sightings.track[pairs.earlier])
    motion = np.where(pairs.are_same, 1.0, 0.0)
    draw = drawn_events(queries, scores, motion, number=2, seed=0)
    # even: 0, 4, 8, 10, 12 right and 2, 6, 14 wrong; odd: 5, 15 right and 1, 3, 7, 9, 11, 13 wrong
    assert draw.found == {"0.5-1": (5, 3), "1-2": (0, 0), "2-5": (2, 6), ">5": (0, 0)}
    assert [(event.gap, event.is_right) for event in draw.events] == [
        (gap, right) for gap in ("0.5-1", "2-5") for right in (True, True, False, False)
    ]
    tracks = queries.sightings.track
    for event in draw.events:
        track = int(tracks[queries.sighting[event.query]])
        assert event.is_right == (track % 4 == 0 or track % 5 == 0) and event.gallery == 16
        ranks = [candidate.rank for candidate in event.candidates]
        assert ranks == ([1, 2, 3, 4, 5] if event.is_right else [1, 2, 3, 4, 5, 16])
        shown = [int(tracks[pairs.earlier[candidate.pair]]) for candidate in event.candidates]
        others = [number for number in range(6) if number != track][:5]
        assert shown == ([track, *others[:4]] if event.is_right else [*others, track])
        assert [c.motion_rank for c in event.candidates if pairs.are_same[c.pair]] == [1]
    assert drawn_events(queries, scores, motion, 2, 0) == draw != drawn_events(queries, scores, motion, 2, 1)


def test_an_event_without_a_choice_is_not_drawn() -> None:
    queries = crowd(1)
    assert drawn_events(queries, np.zeros(1), np.zeros(1), number=2, seed=0).events == ()
