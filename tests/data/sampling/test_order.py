from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from avjepa.data.sampling.sampler import BatchOrder
from avjepa.data.sampling.scenes import chosen_scenes


@given(items=st.integers(1, 30), batch_size=st.integers(1, 4), world_size=st.integers(1, 4), number=st.integers(0, 40))
def test_processes_together_draw_what_one_would(items: int, batch_size: int, world_size: int, number: int) -> None:
    one = BatchOrder(items, batch_size * world_size, seed=3).batch(number)
    many = [BatchOrder(items, batch_size, 3, rank, world_size).batch(number) for rank in range(world_size)]
    assert [draw for part in many for draw in part] == one


@given(items=st.integers(1, 50), batch_size=st.integers(1, 7))
def test_every_epoch_draws_every_item_once(items: int, batch_size: int) -> None:
    order = BatchOrder(items, batch_size, seed=1)
    drawn = [draw.index for number in range(3 * order.batches_per_epoch()) for draw in order.batch(number)]
    for epoch in range(2):
        assert sorted(drawn[epoch * items : (epoch + 1) * items]) == list(range(items))


def test_epochs_and_seeds_shuffle_anew_and_draws_have_their_own_seed() -> None:
    order = BatchOrder(100, 100, seed=0)
    first, second, other = order.batch(0), order.batch(1), BatchOrder(100, 100, seed=1).batch(0)
    assert [d.index for d in first] != [d.index for d in second]
    assert [d.index for d in first] != [d.index for d in other]
    assert len({d.seed for d in (*first, *second, *other)}) == 300
    assert all(0 <= d.seed < 2**63 for d in first)


def test_a_batch_does_not_depend_on_what_was_drawn_before() -> None:
    order = BatchOrder(10, 3, seed=0)
    late = order.batch(57)
    for number in range(20):
        order.batch(number)
    assert BatchOrder(10, 3, seed=0).batch(57) == order.batch(57) == late


def test_smaller_scene_lists_lie_within_larger_ones() -> None:
    names = [f"scene-{number:04d}" for number in range(20)]
    lists = [set(chosen_scenes(names, count, seed=5)) for count in range(1, 21)]
    assert [len(chosen) for chosen in lists] == list(range(1, 21))
    assert all(small < large for small, large in pairwise(lists))
    assert chosen_scenes(names[::-1], 7, seed=5) == chosen_scenes(names, 7, seed=5)
    assert len({tuple(chosen_scenes(names, 3, seed)) for seed in range(10)}) > 5  # not the first three
