"""The mapping of channels to kinds of sensors."""

from pathlib import Path

import pytest

from avjepa.data.channels import NUSCENES_CHANNELS, SensorChannels, load_channels
from avjepa.errors import UserError


def test_a_file_names_the_channels_and_what_it_leaves_out_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text("lidar: [LIDAR_FRONT_LEFT]\ncameras: [CAMERA_LEFT_FRONT, CAMERA_RIGHT_FRONT]\n")
    channels = load_channels(path)
    assert channels == SensorChannels(("LIDAR_FRONT_LEFT",), ("CAMERA_LEFT_FRONT", "CAMERA_RIGHT_FRONT"))
    assert channels.unused(["LIDAR_FRONT_LEFT", "LIDAR_REAR", "CAMERA_LEFT_FRONT"]) == ("LIDAR_REAR",)
    assert load_channels(None) == NUSCENES_CHANNELS


def test_a_channel_that_the_data_set_lacks_is_one_line_that_lists_those_it_has() -> None:
    channels = SensorChannels(lidar=("LIDAR_FRONT",))
    with pytest.raises(UserError) as caught:
        channels.check(["LIDAR_TOP", "CAM_BACK"], "data/v1.0-mini", NUSCENES_CHANNELS)
    assert str(caught.value) == "channels: data/v1.0-mini has no 'LIDAR_FRONT'; its channels are LIDAR_TOP, CAM_BACK"
    channels.check(["LIDAR_FRONT", "CAM_BACK"], "data/v1.0-mini", NUSCENES_CHANNELS)
    NUSCENES_CHANNELS.check(["CAM_BACK"], "data/v1.0-mini", NUSCENES_CHANNELS)  # nobody asked for the others


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lidar: LIDAR_TOP\n", "lidar: expected a list of names, got 'LIDAR_TOP'"),
        ("lidars: [LIDAR_TOP]\n", "does not know 'lidars'; choose from lidar, cameras, radars"),
        ("lidar: [A]\nradars: [A]\n", "'A' is named twice"),
        ("lidar: [A, A]\n", "lidar: names 'A' twice"),
        ("{}\n", "no sensor is named"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        load_channels(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
