"""The footprint of a box covers the cells whose centre lies in it: shapely is the judge."""

import torch
from shapely import Point, Polygon
from shapely.affinity import rotate, translate

from avjepa.geometry.footprints import covered_cells
from avjepa.geometry.grid import BEVGrid

GRID = BEVGrid(-8.0, 12.0, -6.0, 6.0, 0.5)


def boxes_of(*rows: tuple[float, float, float, float, float]) -> torch.Tensor:
    """Boxes by x, y, length, width and yaw."""
    return torch.tensor([[x, y, 0.5, length, width, 1.5, yaw, 0.0, 0.0] for x, y, length, width, yaw in rows])


def test_cells_of_turned_boxes_are_those_whose_centre_lies_in_the_rectangle() -> None:
    rows = [
        (1.03, 0.31, 4.4, 1.9, 0.7),
        (-7.6, -5.2, 3.0, 2.0, 2.1),
        (11.0, 3.0, 12.0, 2.6, -1.2),
        (40.0, 0.0, 4, 2, 0.3),
    ]
    covered = covered_cells(boxes_of(*rows), torch.tensor([0, 0, 1, 1]), 2, GRID)
    for item, own in enumerate((rows[:2], rows[2:])):
        shapes = []
        for x, y, length, width, yaw in own:
            corners = [(a * length / 2, b * width / 2) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
            shapes.append(translate(rotate(Polygon(corners), yaw, origin=(0, 0), use_radians=True), x, y))
        for row in range(24):
            for column in range(40):
                centre = Point(-8.0 + 0.5 * (column + 0.5), -6.0 + 0.5 * (row + 0.5))
                assert covered[item, row, column] == any(shape.covers(centre) for shape in shapes), centre
    assert covered[0].sum() > 30 and covered[1].sum() > 15


def test_a_cell_whose_centre_lies_on_the_edge_counts() -> None:
    covered = covered_cells(boxes_of((0.25, 0.25, 2.0, 1.0, 0.0)), torch.tensor([0]), 1, GRID)
    assert covered.sum() == 5 * 3


def test_without_boxes_nothing_is_covered() -> None:
    covered = covered_cells(torch.zeros(0, 9), torch.zeros(0, dtype=torch.int64), 2, GRID)
    assert covered.shape == (2, 24, 40) and not covered.any()
