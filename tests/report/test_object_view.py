"""One object at one moment: which camera, what part of its image, and which points."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from avjepa.data.sample import CameraImages, Sample
from avjepa.report.event_figure import CandidateView, EventView, event_figure
from avjepa.report.object_view import draw_patch, object_view

FORWARD = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
LEFT = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
AHEAD = torch.tensor([20.0, 0.0, 0.0, 4.0, 2.0, 2.0, 0.0, 0.0, 0.0])


@pytest.fixture
def seen(hand_made: Sample) -> Sample:
    """Two cameras of 160 x 90 pixels in the origin, that look forward and to the left; a pixel's red is its column."""
    images = torch.zeros(2, 3, 90, 160, dtype=torch.uint8)
    images[:, 0] = torch.arange(160, dtype=torch.uint8)
    intrinsics = torch.tensor([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]]).expand(2, 3, 3)
    channels = ("CAM_FRONT", "CAM_LEFT")
    cameras = CameraImages(images, intrinsics, torch.stack((FORWARD, LEFT)), channels, channels)
    return replace(hand_made, cameras=cameras)


def test_a_crop_is_about_the_object_in_the_camera_that_sees_it(seen: Sample) -> None:
    crop = object_view(seen, AHEAD).crop
    assert crop is not None and crop.camera == "CAM_FRONT"
    # the near face at 18 m is 100 * 2 / 18 = 11.1 pixels wide; half as much again is 16.7 about column 80
    assert crop.image.shape == (17, 17, 3)
    assert crop.image[8, :, 0].tolist() == list(range(72, 89))
    assert crop.edges.min() == pytest.approx(80 - 100 / 18 - 72, abs=1e-3)
    aside = object_view(seen, torch.tensor([0.0, 20.0, 0.0, 4.0, 2.0, 2.0, 0.0, 0.0, 0.0])).crop
    assert aside is not None and aside.camera == "CAM_LEFT"


def test_what_no_camera_sees_well_has_no_crop(seen: Sample) -> None:
    for x, y in ((-20.0, 0.0), (20.0, -17.5), (0.0, 0.0)):  # behind, a tenth of it in the image, all around
        box = AHEAD.clone()
        box[:2] = torch.tensor([x, y])
        assert object_view(seen, box).crop is None
    assert object_view(replace(seen, cameras=None), AHEAD).crop is None


def test_beyond_the_image_a_crop_is_black(seen: Sample) -> None:
    box = AHEAD.clone()
    box[1] = 15.0  # 100 * 15 / 20 = 75 pixels left of the middle
    crop = object_view(seen, box).crop
    assert crop is not None
    assert (crop.image[:, 0] == 0).all() and crop.image[8, -1, 0] > 0


def test_a_patch_has_the_points_about_the_object(seen: Sample) -> None:
    lidar = torch.zeros(3, 6)
    lidar[:, :2] = torch.tensor([[27.9, 0.0], [28.1, 0.0], [20.0, -7.9]])
    patch = object_view(replace(seen, lidar=lidar), AHEAD).patch
    assert patch.points[:, :2].tolist() == [pytest.approx([27.9, 0.0]), pytest.approx([20.0, -7.9])]
    assert (patch.sensor, patch.centre, patch.reach) == ("lidar", (20.0, 0.0), 8.0)
    assert object_view(replace(seen, lidar=None), AHEAD).patch.sensor == "radar"
    assert object_view(replace(seen, lidar=None, radar=None), AHEAD).patch.sensor == ""


def test_patches_have_forward_up_and_left_on_the_left(seen: Sample) -> None:
    axes = Figure().add_subplot()
    draw_patch(axes, object_view(seen, AHEAD).patch, "white", expected=(21.0, 0.5, 1.0))
    assert axes.get_xlim() == (8.0, -8.0) and axes.get_ylim() == (12.0, 28.0)
    cross = next(line for line in axes.lines if line.get_marker() == "x")
    assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([0.5], [21.0])


def test_the_figure_of_an_event_marks_the_object_itself(seen: Sample) -> None:
    view = object_view(seen, AHEAD)
    candidates = [CandidateView(view, 1, False, ("1st",)), CandidateView(None, 2, True, ("2nd, the object itself",))]
    figure = event_figure(EventView(view, view, "last seen", "seen again", (20.0, 0.0, 1.0), candidates))
    assert len(figure.axes) == 4 + 2
    widths = [axes.spines["left"].get_linewidth() for axes in figure.axes[4:]]
    assert widths[1] > widths[0]
    said = [text.get_text() for text in figure.texts]
    assert "2nd, the object itself" in said and "last seen" in said
    assert [text.get_text() for text in figure.axes[5].texts] == ["nothing was recorded"]
    assert np.isfinite(figure.get_size_inches()).all()
