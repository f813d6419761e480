"""Who is who at the next keyframe, told by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from avjepa.errors import UserError
from avjepa.evaluate.motion import MotionModel, measured_velocity
from avjepa.evaluate.tracking.tracker import TrackerOptions
from tests.evaluate.tracking.scenes import GREEN, RED, Found, followed, numbers


def test_two_that_change_places_are_confused_by_motion_and_told_apart_by_their_looks() -> None:
    # 2 m apart, they stand for 2 s and then have changed places half a second later
    standing = {at: [Found(0.0, look=RED), Found(2.0, look=GREEN)] for at in range(4)}
    swapped = {4: [Found(2.0, look=RED), Found(0.0, look=GREEN)]}
    by_motion = numbers(followed(standing | swapped, with_embedding=False))
    first, second = by_motion[0]
    assert by_motion[3] == [first, second] and by_motion[4] == [second, first]
    by_looks = numbers(followed(standing | swapped, options=TrackerOptions(gate=8.0)))
    assert all(own == by_looks[0] for own in by_looks.values())


def test_what_was_hidden_for_two_seconds_is_found_again() -> None:
    # a car at 5 m/s, unseen at three keyframes; a tree-like other one stands 20 m aside
    moving = {at: [Found(2.5 * at, velocity=(5.0, 0.0)), Found(0.0, 20.0, GREEN)] for at in (0, 1, 2, 3)}
    back = {7: [Found(17.5, velocity=(5.0, 0.0)), Found(0.0, 20.0, GREEN)]}
    for with_embedding in (False, True):
        found = numbers(followed(moving | back, with_embedding=with_embedding))
        assert found[7] == found[0], "both go on"


def test_after_long_only_looks_tell_that_it_is_the_same() -> None:
    """8 s later a place is too uncertain to say that an object is an old one rather than a new one."""
    seen = {at: [Found(0.0), Found(40.0, look=GREEN)] for at in range(3)}
    other = {at: [Found(40.0, look=GREEN)] for at in range(3, 18)}
    again = {18: [Found(3.0), Found(40.0, look=GREEN)]}
    by_motion = numbers(followed(seen | other | again, with_embedding=False))
    by_looks = numbers(followed(seen | other | again))
    assert by_motion[18][0] not in by_motion[0]
    assert by_looks[18] == by_looks[0]
    stranger = {18: [Found(3.0, look=(0.0, 0.0, 1.0)), Found(40.0, look=GREEN)]}
    assert numbers(followed(seen | other | stranger))[18][0] not in by_looks[0]


def test_of_all_that_is_remembered_what_is_most_alike_counts() -> None:
    """A car shows one side once and another one eighteen times; 9.5 s later it shows the first side again."""
    sides = [RED, *[(0.0, 0.0, 1.0)] * 18]
    boxes = {at: [Found(0.0, look=side), Found(40.0, look=GREEN)] for at, side in enumerate(sides)}
    boxes |= {at: [Found(40.0, look=GREEN)] for at in range(19, 37)} | {37: [Found(3.0), Found(40.0, look=GREEN)]}
    found = numbers(followed(boxes, lengths=(38,)))
    assert found[37] == found[18] == found[0]


def test_what_was_just_seen_comes_before_what_was_lost() -> None:
    # one car lost at x = 0, another one seen at 2 m up to now; a box between is nearer to the lost one
    boxes = {at: [Found(0.0), Found(2.0)] for at in range(6)} | {at: [Found(2.0)] for at in (6, 7)} | {8: [Found(0.4)]}
    found = numbers(followed(boxes, with_embedding=False))
    assert found[8] == [found[0][1]]


def test_looks_that_are_all_alike_say_nothing() -> None:
    draw = np.random.default_rng(1)
    boxes = {at: [Found(*draw.uniform(0, 30, 2)) for _ in range(10)] for at in range(10)}
    assert numbers(followed(boxes)) == numbers(followed(boxes, with_embedding=False))


def test_nothing_is_remembered_for_longer_than_its_life() -> None:
    boxes = {at: [Found(0.0), Found(40.0, look=GREEN)] for at in (0, 1, 2, 8)}
    lives = {life: numbers(followed(boxes, options=TrackerOptions(life=life, new_density=1e-6))) for life in (2.9, 3.0)}
    assert lives[3.0][8] == lives[3.0][0]
    assert not set(lives[2.9][8]) & set(lives[2.9][0])


def test_objects_are_born_of_sure_boxes_only_and_live_on_in_unsure_ones() -> None:
    scores = (0.15, 0.5, 0.15, 0.05)
    tracks = followed({at: [Found(0.0, score=score)] for at, score in enumerate(scores)})
    assert tracks.keyframe.tolist() == [1, 2], "the first is too unsure to begin with, the last to be looked at"
    assert tracks.score == pytest.approx([0.5, 0.325]), "the mean so far"


def test_scenes_and_classes_share_no_objects() -> None:
    boxes = {at: [Found(0.0), Found(0.0, kind="pedestrian"), Found(0.0, kind="barrier")] for at in range(4)}
    tracks = followed(boxes, lengths=(2, 2))
    assert numbers(tracks) == {0: [0, 1], 1: [0, 1], 2: [2, 3], 3: [2, 3]}, "barriers are not followed"
    assert tracks.class_index.tolist() == [0, 2] * 4


def test_the_velocity_is_that_of_the_motion() -> None:
    tracks = followed(
        {at: [Found(2.0 * at)] for at in range(10)}, options=TrackerOptions(motion=MotionModel(0.1, 5.0, 100.0))
    )
    assert tracks.boxes[-1, 7:9] == pytest.approx([4.0, 0.0], abs=0.2)


def test_the_same_boxes_give_the_same_tracks() -> None:
    draw = np.random.default_rng(0)
    boxes = {
        at: [Found(*draw.uniform(0, 20, 2), look=tuple(draw.normal(size=3)), score=draw.uniform()) for _ in range(12)]
        for at in range(8)
    }
    for with_embedding in (False, True):
        first, second = (followed(boxes, with_embedding=with_embedding) for _ in range(2))
        assert np.array_equal(first.track, second.track) and np.array_equal(first.score, second.score)


def test_a_told_velocity_counts_as_much_as_it_is_sure() -> None:
    states = MotionModel(0.3, 3.0, 10.0).begun(np.zeros((2, 2)))
    told = measured_velocity(states, np.array([[4.0, 0.0], [math.nan, 0.0]]), sigma=1.0)
    # of variances 9 and 1: 9/10 of the way, and 9/10 of the variance is gone
    assert told[0, 2] == pytest.approx(3.6) and told[0, 6] == pytest.approx(0.9)
    assert np.array_equal(told[1], states[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"life": 0.0}, "life: must be above 0"),
        ({"gate": math.nan}, "gate"),
        ({"birth_score": 0.05}, "birth_score: must be at least 0.1"),
        ({"lowest_score": 1.5}, "lowest_score"),
        ({"motion": MotionModel(0.0, 1.0, 1.0)}, "motion.position_sigma"),
    ],
)
def test_options_that_mean_nothing_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        replace(TrackerOptions(), **change)
