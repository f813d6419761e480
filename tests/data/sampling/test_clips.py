"""Batches of clips: several keyframes of one scene side by side."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avjepa.data.sampling.clips import ClipOrder, Clips
from avjepa.errors import UserError

from ..loading.test_datamodule import detection

SCENES = ["a"] * 6 + ["b"] * 3 + ["c"]
TIMES = np.array([0, 1, 2, 3, 4, 5, 0, 1, 9, 0]) * 1_000_000


def order(batch_size: int = 4, seed: int = 0, rank: int = 0, world_size: int = 1, **clips: float) -> ClipOrder:
    chosen = Clips(int(clips.get("length", 2)), clips.get("seconds", 2.0))
    return ClipOrder(SCENES, TIMES, chosen, batch_size, seed, rank, world_size)


def clips_of(order: ClipOrder, batches: int) -> np.ndarray:
    drawn = [draw.index for number in range(batches) for draw in order.batch(number)]
    return np.array(drawn).reshape(-1, order.clips.length)


def test_a_clip_is_of_one_scene_and_near_in_time() -> None:
    drawn = clips_of(order(), 50)
    for first, second in drawn:
        assert SCENES[first] == SCENES[second] and abs(TIMES[first] - TIMES[second]) <= 2e6
        # item 8 is far from its scene's others and item 9 alone in its own
        assert (first == second) == (first in (8, 9))


def test_first_keyframes_go_through_all_items_and_the_others_through_their_neighbours() -> None:
    drawn = clips_of(order(), 200)
    assert sorted(drawn[:10, 0]) == list(range(10)) and sorted(drawn[10:20, 0]) == list(range(10))
    assert {int(second) for first, second in drawn if first == 2} == {0, 1, 3, 4}


def test_no_keyframe_comes_twice_before_all_near_ones_have_come() -> None:
    for clip in clips_of(order(batch_size=5, length=5, seconds=100.0), 20):
        others = {"a": 6, "b": 3, "c": 1}[SCENES[clip[0]]]
        assert len(set(clip.tolist())) == min(5, others)


@given(batch_size=st.sampled_from([2, 4, 6]), world_size=st.integers(1, 4), number=st.integers(0, 40))
def test_processes_together_draw_what_one_would(batch_size: int, world_size: int, number: int) -> None:
    one = order(batch_size * world_size, seed=3).batch(number)
    many = [order(batch_size, 3, rank, world_size).batch(number) for rank in range(world_size)]
    assert [draw for part in many for draw in part] == one


def test_batches_of_a_training_are_clips(tiny: Path) -> None:
    module = detection(tiny, clips=Clips(2, 100.0), batch_size=4, steps=3)
    for batch in module.train_dataloader():
        assert batch.scenes[0] == batch.scenes[1] and batch.scenes[2] == batch.scenes[3]
        assert batch.labels is not None and batch.queries is None
        assert len(set(batch.seeds.tolist())) == 4


def test_a_batch_that_would_cut_a_clip_and_two_orders_at_once_are_refused(tiny: Path) -> None:
    with pytest.raises(UserError, match=r"no multiple of data\.clips\.length, 4"):
        detection(tiny, clips=Clips(4), batch_size=6)
    with pytest.raises(UserError, match=r"data\.class_balanced"):
        detection(tiny, clips=Clips(2), class_balanced=True, batch_size=4)
    for length, seconds, name in ((1, 1.0, "length"), (2, 0.0, "seconds")):
        with pytest.raises(UserError, match=rf"data\.clips\.{name}"):
            Clips(length, seconds)
