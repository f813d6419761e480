"""What counts as an event, on drives that are short enough to check by hand, and on real recordings."""

from pathlib import Path

import numpy as np
import pytest

from avjepa.data.datasets import open_dataset
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.evaluate.reidentification.events import Queries, gap_range, mined
from avjepa.evaluate.reidentification.sightings import Sightings
from tests.evaluate.reidentification.drives import TWO_CLASSES, Seen, drive

GONE, FEW, FAINT = Seen(points=0), Seen(points=3), Seen(visibility=1)


def found(annotated: AnnotatedKeyframes, k: int = 5) -> tuple[list[tuple], list[tuple]]:
    """Events as (track, keyframe, keyframe of the last sighting, gap, gallery), and newborns as (track, keyframe,
    gallery); a gallery is of (track, keyframe of its last sighting)."""
    sightings = Sightings.of(annotated, TWO_CLASSES, k)
    queries = Queries.of(sightings)
    events, newborns = [], []
    for number, row in enumerate(queries.sighting):
        entries = queries.pair_sighting[queries.pair_query == number]
        gallery = [(int(sightings.track[entry]), int(sightings.keyframe[entry])) for entry in entries]
        head = int(sightings.track[row]), int(sightings.keyframe[row])
        if queries.is_newborn[number]:
            newborns.append((*head, gallery))
        else:
            last = int(sightings.keyframe[queries.last[number]])
            events.append((*head, last, float(queries.gap[number]), gallery))
    return events, newborns


def test_a_drive_checked_by_hand() -> None:
    annotated = drive(
        {
            7: {0: Seen(), 1: Seen(), 2: GONE, 3: GONE, 4: Seen(), 5: Seen()},  # 1 to 4: an event
            3: {1: Seen(), 2: Seen(), 3: Seen()},  # comes after the first keyframe
            5: {0: Seen(), 1: FEW, 2: Seen(), 3: FAINT, 4: FEW, 5: Seen()},  # few points hide nothing; level 1 does
            9: {0: Seen(), 5: Seen()},  # a pedestrian that is not annotated in between
            4: {0: Seen(), 1: GONE, 3: FEW},  # never seen again
        },
        {9: "human"},
    )
    events, newborns = found(annotated)
    assert events == [
        (5, 5, 2, 1.5, [(3, 3), (4, 0), (5, 2), (7, 4)]),
        (7, 4, 1, 1.5, [(3, 3), (4, 0), (5, 2), (7, 1)]),
        (9, 5, 0, 2.5, [(9, 0)]),
    ]
    assert newborns == [(3, 1, [(4, 0), (5, 0), (7, 0)])]


def test_the_fewer_points_an_object_needs_the_more_of_its_sightings_end_a_gap() -> None:
    annotated = drive({1: {0: Seen(5), 1: GONE, 2: Seen(1), 3: GONE, 4: Seen(5)}})
    assert [event[:4] for event in found(annotated, 1)[0]] == [(1, 2, 0, 1.0), (1, 4, 2, 1.0)]
    assert [event[:4] for event in found(annotated, 5)[0]] == [(1, 4, 0, 2.0)]


def test_scenes_and_kinds_keep_apart() -> None:
    hidden = {0: Seen(), 1: GONE, 2: Seen()}
    later = {keyframe + 3: seen for keyframe, seen in hidden.items()}
    annotated = drive({1: hidden, 2: hidden, 3: later, 4: later}, {2: "human", 4: "stroller"}, (3, 3))
    events, newborns = found(annotated)
    assert [(event[0], event[4]) for event in events] == [
        (number, [(number, 3 * (number > 2))]) for number in (1, 2, 3, 4)
    ]
    assert newborns == []


def test_an_object_that_is_first_seen_alone_is_no_newborn() -> None:
    assert found(drive({1: {4: Seen()}}))[1] == [], "there is nothing that it could be taken for"
    assert found(drive({1: {0: GONE, 4: Seen()}, 2: {3: Seen()}}))[1] == [(1, 4, [(2, 3)])]
    assert found(drive({1: {4: Seen()}, 2: {4: Seen()}}))[1] == [], "they appear together"


def test_where_nobody_counted_points_the_level_of_visibility_decides() -> None:
    unknown = Seen(points=-1)
    assert [e[:3] for e in found(drive({1: {0: unknown, 1: Seen(-1, visibility=1), 2: unknown}}))[0]] == [(1, 2, 0)]
    assert found(drive({1: {0: Seen(-1, visibility=0), 1: GONE, 2: Seen(-1, visibility=0)}})) == ([], [])


def test_a_drive_without_boxes_has_no_queries() -> None:
    assert found(drive({})) == ([], [])
    assert found(drive({1: {0: GONE, 1: GONE}})) == ([], [])


def test_the_edge_of_a_range_of_gaps_belongs_to_the_shorter_gaps_whatever_the_jitter_of_the_clock() -> None:
    gaps = np.array([0.9, 1.0, 1.1, 1.4, 2.0, 2.1, 2.4, 5.1, 5.5, np.nan])
    assert gap_range(gaps).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 4]


@pytest.mark.parametrize(("k", "events"), [(1, 260), (2, 155), (5, 58)])
def test_real_tracks(realdata: Path, k: int, events: int) -> None:
    source = open_dataset(realdata / "nuscenes_minival_metadata", "v1.0-mini")
    queries = mined(source, list(source.scene_names), k)
    assert (~queries.is_newborn).sum() == events
    assert queries.pair_is_same.sum() == events, "each gallery of an event holds its object once"
