import itertools

import pytest
import torch

from avjepa.geometry.grid import BEVGrid
from avjepa.heads.detection.gaussian import draw_gaussians, gaussian_radius


def worst_iou(length: float, width: float, radius: float) -> float:
    """Smallest IoU with the box [0, length] × [0, width] when each edge moves by -radius, 0 or radius."""
    worst = 1.0
    for left, right, low, high in itertools.product((-radius, 0.0, radius), repeat=4):
        overlap_x = min(length, length + right) - max(0.0, left)
        overlap_y = min(width, width + high) - max(0.0, low)
        inside = max(0.0, overlap_x) * max(0.0, overlap_y)
        moved = max(0.0, length + right - left) * max(0.0, width + high - low)
        worst = min(worst, inside / (length * width + moved - inside))
    return worst


@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.7])
@pytest.mark.parametrize("size", [(7.67, 3.25), (1.0, 1.0), (18.0, 4.5), (0.4, 12.0)])
def test_radius_is_the_largest_that_keeps_the_overlap(size: tuple[float, float], overlap: float) -> None:
    length, width = size
    as_tensor = torch.tensor([[length, width]], dtype=torch.float64)
    radius = gaussian_radius(as_tensor[:, 0], as_tensor[:, 1], overlap).item()
    assert worst_iou(length, width, radius) == pytest.approx(overlap, rel=1e-9)
    assert worst_iou(length, width, radius * 1.01) < overlap


def test_radius_of_a_car_on_cells_of_60_cm() -> None:
    car = torch.tensor([4.6, 1.95]) / 0.6
    assert gaussian_radius(car[:1], car[1:], 0.1).item() == pytest.approx(1.37, abs=0.01)


def test_peaks_lie_where_the_grid_says_and_overlaps_keep_the_higher_value() -> None:
    grid = BEVGrid(x_min=-4.0, x_max=8.0, y_min=-2.0, y_max=4.0, cell=0.5)  # 12 rows, 24 columns
    cells, inside = grid.cell_of(torch.tensor([[-3.9, 3.9], [7.9, -1.9], [-2.9, 3.9]]))
    assert inside.all()
    plane, radius = torch.tensor([0, 1, 0]), torch.tensor([2, 1, 2])
    drawn = draw_gaussians(torch.zeros(2, *grid.shape), plane, cells[:, 0], cells[:, 1], radius)

    expected = torch.zeros(2, 12, 24)
    for p, (row, column), r in ((0, (11, 0), 2), (1, (0, 23), 1), (0, (11, 2), 2)):
        sigma = (2 * r + 1) / 6
        for y in range(max(0, row - r), min(12, row + r + 1)):
            for x in range(max(0, column - r), min(24, column + r + 1)):
                value = torch.exp(torch.tensor(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2)))
                expected[p, y, x] = max(expected[p, y, x], value)
    torch.testing.assert_close(drawn, expected)
    assert (drawn == 1).sum() == 3
