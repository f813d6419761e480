"""``synth``, ``inspect`` and ``view`` one after the other, as a user who tries the project does."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.test_training import avjepa


def test_a_synthetic_world_is_made_inspected_and_drawn(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = tmp_path / "world"
    size = ("--scenes", 2, "--keyframes", 2, "--image-width", 160, "--val-fraction", 0.5, "--workers", 1)
    assert avjepa("synth", "--out", world, "--seed", 5, *size) == 0
    source = ("--data", world, "--version", "v1.0-synth")
    capfd.readouterr()

    assert avjepa("inspect", *source, "--json") == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["scenes"], report["keyframes"], report["splits"]) == (2, 4, {"train": 1, "val": 1})
    assert report["problems"] == []
    images = {channel["channel"]: channel["image_sizes"] for channel in report["channels"]}
    assert images["CAM_FRONT"] == {"160 x 90": 4}
    assert avjepa("inspect", *source) == 0
    assert "LIDAR_TOP" in capfd.readouterr().out

    assert avjepa("view", *source, "--index", 3, "--out", tmp_path / "scene.png") == 0
    with Image.open(tmp_path / "scene.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(2**24)) > 1000, "not an empty sheet"
