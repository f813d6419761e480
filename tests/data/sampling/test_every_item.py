from avjepa.data.sampling.every_item import batches_of_every_item


def shares(items: int, batch_size: int, processes: int, some_for_each: bool) -> list[list[list[int]]]:
    return [
        [[draw.index for draw in batch] for batch in batches_of_every_item(
            items, batch_size, rank, processes, some_for_each=some_for_each
        )]
        for rank in range(processes)
    ]  # fmt: skip


def test_processes_share_the_batches_that_one_would_make() -> None:
    whole = [[0, 1], [2, 3], [4, 5], [6]]
    assert shares(7, 2, 1, False) == [whole]
    assert shares(7, 2, 3, False) == shares(7, 2, 3, True) == [[whole[0], whole[3]], [whole[1]], [whole[2]]]


def test_where_there_are_fewer_batches_than_processes_each_may_want_some() -> None:
    assert shares(3, 2, 3, False) == [[[0, 1]], [[2]], []]
    assert shares(3, 2, 3, True) == [[[0, 1], [2]]] * 3
