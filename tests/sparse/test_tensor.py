"""Sites that spconv would silently misread are refused."""

import pytest
import torch

from avjepa.sparse.tensor import SparseTensor

SHAPE = (4, 6, 8)


def tensor(rows: list[list[int]], **changes: object) -> SparseTensor:
    indices = torch.tensor(rows, dtype=torch.int32).reshape(-1, 4)
    arguments: dict[str, object] = {"indices": indices, "features": torch.zeros(len(indices), 2)} | changes
    return SparseTensor(**arguments, spatial_shape=SHAPE, batch_size=2)  # type: ignore[arg-type]


def test_dense_puts_every_row_at_its_site():
    x = tensor([[1, 3, 5, 7], [0, 0, 2, 1]], features=torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    dense = x.dense()
    assert dense.shape == (2, 2, *SHAPE)
    assert dense[1, :, 3, 5, 7].tolist() == [1, 2] and dense[0, :, 0, 2, 1].tolist() == [3, 4]
    assert dense.count_nonzero() == 4


@pytest.mark.parametrize("site", [[2, 0, 0, 0], [0, 4, 0, 0], [0, 0, 6, 0], [0, 0, 0, 8], [0, 0, 0, -1], [-1, 0, 0, 0]])
def test_site_outside_the_grid(site):
    with pytest.raises(ValueError, match="outside the grid"):
        tensor([[0, 0, 0, 0], site])


@pytest.mark.parametrize("between", [[], [[1, 1, 1, 1]]])
def test_site_listed_twice(between):
    with pytest.raises(ValueError, match="more than once"):
        tensor([[0, 1, 2, 3], *between, [0, 1, 2, 3]])


def test_wrong_dtype():
    with pytest.raises(ValueError, match="int32"):
        tensor([], indices=torch.zeros(1, 4, dtype=torch.int64), features=torch.zeros(1, 2))


def test_transposed_memory():
    """What ``mask.nonzero().int()`` returns."""
    strided = torch.zeros(2, 4, 6, 8).index_fill(3, torch.tensor([1]), 1).nonzero().int()
    assert not strided.is_contiguous()
    with pytest.raises(ValueError, match="contiguous"):
        tensor([], indices=strided, features=torch.zeros(len(strided), 2))


def test_any_order_is_accepted():
    assert len(tensor([[1, 3, 5, 7], [0, 0, 2, 1], [0, 0, 0, 1]]).indices) == 3
