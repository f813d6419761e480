import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid

GRID = BEVGrid(x_min=-4.0, x_max=8.0, y_min=-3.0, y_max=3.0, cell=1.5)  # 4 rows, 8 columns


def test_rows_grow_with_y_and_columns_with_x() -> None:
    assert GRID.shape == (4, 8)
    points = torch.tensor([[-4.0, -3.0], [7.9, -2.9], [-3.9, 2.9], [0.4, 0.1]])
    cells, inside = GRID.cell_of(points)
    assert cells.tolist() == [[0, 0], [0, 7], [3, 0], [2, 2]]
    assert inside.all()


def test_edges_and_what_lies_outside() -> None:
    """Lower edges belong to the grid, upper ones do not; just below zero is not rounded up into the grid."""
    nan = float("nan")
    points = torch.tensor([[8.0, 0.0], [0.0, 3.0], [-4.001, 0.0], [-4.0, -3.0], [nan, 0.0], [1e9, -1e9], [0.0, nan]])
    cells, inside = GRID.cell_of(points)
    assert inside.tolist() == [False, False, False, True, False, False, False]
    assert cells[:, 0].min() >= 0 and cells[:, 0].max() <= 3 and cells[:, 1].min() >= 0 and cells[:, 1].max() <= 7


def test_centre_of_a_cell_by_hand() -> None:
    assert GRID.centres()[0, 0].tolist() == [-3.25, -2.25]
    assert GRID.centres()[1, 7].tolist() == [7.25, -0.75]


def test_normalised_coordinates_hit_the_cell_in_grid_sample() -> None:
    """A map that is 1 in one cell only reads 1 at that cell's centre and 0 at all others: no transposed axes."""
    marked = torch.zeros(1, 1, *GRID.shape)
    marked[0, 0, 1, 6] = 1.0
    where = GRID.normalised(GRID.centres())[None]
    read = torch.nn.functional.grid_sample(marked, where, align_corners=False)
    torch.testing.assert_close(read, marked, atol=1e-6, rtol=0)


def test_a_finer_grid_and_its_coarse_one_cover_the_same_ground() -> None:
    fine = GRID.refined(3)
    assert fine.shape == (12, 24)
    row_column, _ = fine.cell_of(torch.tensor([[2.2, 1.1]]))
    coarse, _ = GRID.cell_of(torch.tensor([[2.2, 1.1]]))
    assert (row_column // 3).tolist() == coarse.tolist()


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 5.0), st.floats(-100, 100), st.floats(-100, 100))
def test_every_centre_lies_in_its_own_cell(rows: int, columns: int, cell: float, x: float, y: float) -> None:
    grid = BEVGrid(x, x + columns * cell, y, y + rows * cell, cell)
    assert grid.shape == (rows, columns)
    cells, inside = grid.cell_of(grid.centres().double())
    assert inside.all()
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    assert torch.equal(cells, torch.stack((row, column), dim=-1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cell": 0.0},
        {"cell": -1.0},
        {"x_max": -4.0},
        {"x_max": 8.1},
        {"y_max": -9.0},
        {"x_min": math.nan},
        {"cell": math.inf},
    ],
)
def test_grid_that_is_none(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="BEVGrid"):
        BEVGrid(**({"x_min": -4.0, "x_max": 8.0, "y_min": -3.0, "y_max": 3.0, "cell": 1.5} | wrong))
