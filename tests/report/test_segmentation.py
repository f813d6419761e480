"""A segmentation over the truth: every cell has the colour of its case, and lies where it should."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from avjepa.data.sample import Sample
from avjepa.geometry.grid import BEVGrid
from avjepa.report.sample_figure import sample_figure
from avjepa.report.segmentation import FOUND, MADE_UP, MISSED, UNJUDGED, ClassMap, coloured, draw_class_map
from avjepa.report.style import CANVAS

GRID = BEVGrid(-10.0, 10.0, -10.0, 10.0, 1.0)


def class_map(grid: BEVGrid = GRID) -> ClassMap:
    """All four corners of the grid differ: (lowest y, lowest x) is found, and so on."""
    predicted, present, known = (torch.zeros(grid.shape, dtype=torch.bool) for _ in range(3))
    known[:] = True
    predicted[0, 0] = present[0, 0] = True
    present[0, -1] = True  # lowest y, highest x: right, ahead
    predicted[-1, 0] = True  # highest y, lowest x: left, behind
    known[-1, -1] = False
    return ClassMap("drivable_area", grid, predicted, present, known)


def test_cells_are_coloured_by_what_was_found_missed_made_up_and_unjudged() -> None:
    colours = coloured(class_map())
    corners = {(0, 0): FOUND, (0, -1): MISSED, (-1, 0): MADE_UP, (-1, -1): UNJUDGED, (5, 5): CANVAS}
    for (row, column), colour in corners.items():
        np.testing.assert_allclose(colours[row, column] / 255, to_rgb(colour), atol=1 / 255)


def test_ahead_is_up_and_left_is_left() -> None:
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw_class_map(axes, class_map(), (-10.0, 10.0, -10.0, 10.0))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    np.testing.assert_allclose(pixels[10, -10], to_rgb(MISSED), atol=0.02)
    np.testing.assert_allclose(pixels[-10, 10], to_rgb(MADE_UP), atol=0.02)
    assert axes.get_title(loc="left") == "drivable area, IoU 33 %"  # of three cells that count, one


@pytest.mark.parametrize("classes", [1, 3])
def test_the_picture_of_a_sample_has_a_view_for_every_class(hand_made: Sample, classes: int) -> None:
    maps = [class_map() for _ in range(classes)]
    more = sample_figure(hand_made, segmentation=maps)
    assert len(more.axes) == len(sample_figure(hand_made).axes) + classes
    legend = [text.get_text() for text in more.legends[0].get_texts()]
    assert legend == ["found", "missed", "not there", "nobody knows"]
