"""``avjepa inspect`` through the command line: labels and points of any layout, as text, JSON and a page."""

import html
import json
import re
from pathlib import Path

import pytest

from avjepa import cli
from avjepa.data import datasets
from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import Layout
from tests.commands.test_bad_input import refused
from tests.data.conftest import VERSION
from tests.data.test_protocol import CarsInTheMemory


def inspect(data: Path | str, *options: object) -> int:
    return cli.main(["inspect", "--data", str(data), "--version", VERSION, *map(str, options)])


def test_page_has_verdicts_tables_and_a_keyframe_in_every_camera(tiny: Path, tmp_path: Path, capsys) -> None:
    assert inspect(tiny, "--html", tmp_path / "page.html") == 0
    assert "labels and points as a training takes them" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    texts = [html.unescape(text) for text in re.findall(r'<img [^>]*alt="([^"]*)"', page)]
    assert len(texts) == 3 and texts[2].startswith("scene-") and "from above to 52 m: annotated are " in texts[2]
    assert {text.split(":")[0] for text in texts[:2]} == {"image of CAM_FRONT", "image of CAM_BACK"}
    assert page.index("Verdict</h2>") < page.index("One keyframe</h2>") < page.index("Checks</h2>")
    assert 'src="http' not in page and "<script" not in page


def test_json_carries_the_checks(tiny: Path, capsys) -> None:
    assert inspect(tiny, "--json", "--fast") == 0
    report = json.loads(capsys.readouterr().out)
    names = [check["name"] for check in report["checks"]]
    assert "yaw against motion" in names and "points in boxes" not in names  # which needs clouds


def test_a_layout_without_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    dataset = CarsInTheMemory(SensorChannels(lidar=("LIDAR",)))
    layout = Layout(lambda root, version: str(root) == "memory", lambda *options: dataset)
    monkeypatch.setattr(datasets, "LAYOUTS", {"memory": layout, **datasets.LAYOUTS})
    assert inspect("memory", "--html", tmp_path / "page.html") == 0
    printed = capsys.readouterr().out
    assert "2 scenes, 6 keyframes, 6 moments" in printed and "LIDAR (lidar)" in printed
    assert "100 % of 6 boxes hold a LiDAR point" in printed
    assert inspect("memory", "--json") == 0
    assert json.loads(capsys.readouterr().out)["channels"] == {"LIDAR": "lidar"}


def test_page_needs_the_name_of_a_page(tiny: Path, tmp_path: Path, capfd) -> None:
    refused(capfd, inspect(tiny, "--html", tmp_path / "x.pdf"), "--html", "ends in .html")
