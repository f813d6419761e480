"""The picture of a sample."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from avjepa.data.sample import Sample
from avjepa.errors import UserError
from avjepa.report.points_window import show_points
from avjepa.report.sample_figure import draw_sample, sample_figure


def texts(sample: Sample) -> str:
    figure = sample_figure(sample)
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " ".join([text.get_text() for text in figure.texts] + inside)


def test_the_picture_names_its_sample_and_missing_cameras(hand_made: Sample) -> None:
    shown = texts(hand_made)
    assert "scene-0001" in shown and "1.500 s" in shown and "token <b>" in shown
    assert hand_made.cameras is not None
    count, rig = len(hand_made.cameras.channels), len(hand_made.cameras.rig)
    assert f"{count} of {rig} camera" in shown and ", LiDAR, radar" in shown
    assert "no sensor" in texts(replace(hand_made, lidar=None, radar=None, cameras=None))
    assert "CAM_BACK: no image" in shown and "CAM_FRONT: no image" not in shown


@pytest.mark.parametrize("kept", ["lidar", "radar", "cameras", "labels", "nothing"])
def test_any_sensor_may_be_missing(hand_made: Sample, kept: str, tmp_path: Path) -> None:
    missing = {name: None for name in ("lidar", "radar", "cameras", "labels") if name != kept}
    draw_sample(replace(hand_made, **missing), tmp_path / "new" / "sample.png")
    with Image.open(tmp_path / "new" / "sample.png") as image:
        image.load()
        assert image.format == "PNG" and image.width > 1000
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sample.png"]


def test_a_window_needs_points_and_a_display(hand_made: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match="no display"):
        show_points(hand_made)
    for lidar in (None, torch.zeros(0, 6)):
        with pytest.raises(UserError, match="no LiDAR points"):
            show_points(replace(hand_made, lidar=lidar))


@pytest.mark.realdata
def test_real_points_lie_in_the_boxes_that_are_drawn(real_keyframe: Sample) -> None:
    """From above, inside the drawn outline of a box, there are at least the points that the table counts in it."""
    from matplotlib.path import Path as Outline

    from avjepa.report.bev import footprints

    labels, lidar = real_keyframe.labels, real_keyframe.lidar
    assert labels is not None and lidar is not None
    for outline, count in zip(footprints(labels.boxes), labels.lidar_points.tolist(), strict=True):
        inside = Outline(outline).contains_points(lidar[:, :2].numpy(), radius=1e-3)
        assert max(inside.sum(), Outline(outline[::-1]).contains_points(lidar[:, :2].numpy()).sum()) >= 0.9 * count - 1
