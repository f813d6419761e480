import pytest
import torch

from avjepa.errors import UserError
from avjepa.fusion.grid_link import link_of
from avjepa.geometry.grid import BEVGrid

COARSE = BEVGrid(-4.0, 4.0, -2.0, 2.0, 2.0)  # 2 rows, 4 columns
FINE = COARSE.refined(2)


def test_smaller_cells_are_averaged_and_larger_ones_copied() -> None:
    fine = torch.arange(32.0).view(1, 1, 4, 8)
    averaged = link_of(COARSE, FINE, "lidar").to_common(fine)
    assert averaged.shape == (1, 1, 2, 4)
    assert averaged[0, 0, 0, 0] == (0 + 1 + 8 + 9) / 4
    copied = link_of(FINE, COARSE, "lidar").to_common(averaged)
    assert copied.shape == (1, 1, 4, 8)
    assert (copied[0, 0, :2, :2] == averaged[0, 0, 0, 0]).all()


def test_a_mask_hides_only_cells_that_lie_within_it() -> None:
    """Cells by their place in metres, so that rows and columns cannot be exchanged."""
    mask = torch.zeros(1, 4, 8, dtype=torch.bool)
    mask[0, :2, :3] = True  # of the first row of large cells: the first one wholly, the second by half
    within = link_of(FINE, COARSE, "camera").within(mask)
    assert within[0].nonzero().tolist() == [[0, 0]]
    assert link_of(FINE, COARSE, "camera").any_in_common(within)[0].nonzero().tolist() == [
        [0, 0], [0, 1], [1, 0], [1, 1],
    ]  # fmt: skip
    assert link_of(COARSE, FINE, "lidar").within(within)[0, :2, :2].all()
    assert link_of(COARSE, FINE, "lidar").any_in_common(mask)[0].tolist()[0] == [True, True, False, False]


@pytest.mark.parametrize(
    "other",
    [BEVGrid(-4.0, 4.0, -2.0, 2.0, 0.8), BEVGrid(-4.0, 4.0, -2.0, 4.0, 1.0), BEVGrid(-3.0, 5.0, -2.0, 2.0, 1.0)],
)
def test_grids_that_do_not_nest_are_refused(other: BEVGrid) -> None:
    with pytest.raises(UserError, match=r"the grid of radar.*does not nest"):
        link_of(COARSE, other, "radar")
