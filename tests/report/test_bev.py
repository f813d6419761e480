"""What stands where in the view from above."""

import io
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from avjepa.data.sample import Sample
from avjepa.data.taxonomy import load_taxonomy
from avjepa.report.bev import RADAR_COLOUR, Detections, draw_bev, legend_handles, square_extent, upright
from avjepa.report.style import CLASS_COLOURS

CLASSES = load_taxonomy("nuscenes").classes


def rendered(sample: Sample, detections: Detections | None = None, half_side: float = 20.0) -> np.ndarray:
    """The picture of a square about the ego that fills the whole image: 30 pixels a metre at 20 m."""
    figure = Figure(figsize=(4, 4))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw_bev(axes, sample, square_extent(half_side), detections)
    for spine in axes.spines.values():
        spine.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=300)
    return np.asarray(Image.open(buffer).convert("RGB")).astype(float) / 255


def where(picture: np.ndarray, colour: str, tolerance: float = 0.12) -> np.ndarray:
    """(x, y) in metres of the pixels of a colour, by the documented orientation: up is x, left is y."""
    row, column = np.nonzero(np.abs(picture - np.array(to_rgb(colour))).max(-1) < tolerance)
    return np.stack((20 - (row + 0.5) / 30, 20 - (column + 0.5) / 30), -1)


def only(sample: Sample, **kept: object) -> Sample:
    return replace(sample, **({"lidar": None, "radar": None, "cameras": None, "labels": None} | kept))


def test_forward_is_up_and_left_is_left(hand_made: Sample) -> None:
    picture = rendered(only(hand_made, labels=hand_made.labels))
    car = where(picture, CLASS_COLOURS["car"])
    pedestrian = where(picture, CLASS_COLOURS["pedestrian"])
    assert len(car) > 15 and np.abs((car.min(0) + car.max(0)) / 2 - (12, 5)).max() < 0.8
    assert len(pedestrian) > 10 and np.abs(pedestrian.mean(0) - (-9, -6)).max() < 0.4


@pytest.mark.parametrize("half_side", [20.0, 25.6, 50.0, 51.2, 61.0])
def test_no_label_of_a_range_is_cut_by_the_border(hand_made: Sample, half_side: float) -> None:
    figure = Figure(figsize=(4, 4))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw_bev(axes, only(hand_made), square_extent(half_side))
    figure.draw_without_rendering()
    labels = [text.get_window_extent() for text in axes.texts]
    assert len(labels) >= 3
    assert all(min(box.x0, box.y0) >= 0 and max(box.x1, box.y1) <= 400 for box in labels)


def test_the_tick_is_at_the_front(hand_made: Sample) -> None:
    labels = hand_made.labels
    assert labels is not None
    boxes = labels.boxes[:1].clone()
    boxes[0, :7] = torch.tensor([0.0, 8.0, 1.0, 4.0, 2.0, 1.5, torch.pi / 2])  # points to the left, along +y
    detections = (boxes, torch.tensor([1.0]), torch.tensor([CLASSES.index("truck")]))
    truck = where(rendered(only(hand_made), detections), CLASS_COLOURS["truck"])
    assert truck[:, 1].max() == pytest.approx(8 + 2 + 0.5, abs=0.25)  # half the length, then a quarter of the width
    assert truck[:, 1].min() == pytest.approx(8 - 2, abs=0.25)


def test_radar_arrows_follow_the_velocity(hand_made: Sample) -> None:
    assert hand_made.radar is not None
    radar = hand_made.radar[:1].clone()
    radar[0, 5:7] = torch.tensor([0.0, 6.0])  # 6 m/s to the left
    points = where(rendered(only(hand_made, radar=radar)), RADAR_COLOUR, 0.1)
    assert points[:, 1].max() == pytest.approx(5 + 6, abs=0.4)
    assert np.abs(points[:, 0] - 10).max() < 0.7


def test_the_surer_prediction_is_the_bolder(hand_made: Sample) -> None:
    labels = hand_made.labels
    assert labels is not None
    brightness = []
    for score in (0.1, 0.9):
        detections = (labels.boxes[:1], torch.tensor([score]), labels.class_index[:1])
        brightness.append((rendered(only(hand_made), detections) - rendered(only(hand_made))).sum())
    assert 0 < 2 * brightness[0] < brightness[1]


def test_the_legend_names_what_is_drawn(hand_made: Sample) -> None:
    truck = (torch.zeros(1, 9), torch.tensor([0.5]), torch.tensor([CLASSES.index("truck")]))
    names = [handle.get_label() for handle in legend_handles(hand_made, truck)]
    assert names == ["car", "truck", "pedestrian", "ground truth", "prediction", "radar, 1 s of velocity"]
    assert legend_handles(only(hand_made)) == []


def test_points_outside_and_nothing_at_all(hand_made: Sample) -> None:
    nothing = rendered(only(hand_made))
    far = torch.tensor([[500.0, 0, 0, 0, 0, 0], [float("nan"), 0, 0, 0, 0, 0]])
    empty_clouds = only(hand_made, lidar=torch.zeros(0, 6), radar=torch.zeros(0, 16))
    assert np.array_equal(rendered(only(hand_made, lidar=far)), nothing)
    assert np.array_equal(rendered(empty_clouds), nothing)


def test_upright_on_a_map_that_is_not_square() -> None:
    rows_along_y = np.zeros((2, 5, 3), np.uint8)
    rows_along_y[0, 4] = 255  # smallest y (right), largest x (forward)
    picture = upright(rows_along_y)
    assert picture.shape == (5, 2, 3)
    assert picture[0, 1, 0] == 255 and picture.sum() == 3 * 255


def test_drawing_leaves_global_settings_alone(hand_made: Sample) -> None:
    before = dict(matplotlib.rcParams)
    rendered(hand_made)
    assert dict(matplotlib.rcParams) == before


def test_no_pyplot() -> None:
    code = "import sys, avjepa.report.demo_page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
