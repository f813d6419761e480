"""The demo's page, from one sensor to three."""

from pathlib import Path

import pytest
import torch

from avjepa.data.sample import Sample
from avjepa.data.taxonomy import load_taxonomy
from avjepa.geometry.grid import BEVGrid
from avjepa.report.demo_page import PretrainingCost, Scene, Score, write_demo_report
from avjepa.report.features import FeatureMaps, features_figure

CLASSES = load_taxonomy("nuscenes").classes


def score(sensor: str, method: str, seed: int, mean_ap: float) -> Score:
    return Score(sensor, method, seed, 100, 4, mean_ap, mean_ap / 2, {name: mean_ap for name in CLASSES[:3]})


@pytest.mark.parametrize("sensors", [["lidar"], ["lidar", "camera", "radar"], []])
def test_the_page_says_what_was_measured(sensors: list[str], hand_made: Sample, tmp_path: Path) -> None:
    grid = BEVGrid(-16.0, 16.0, -16.0, 16.0, 1.6)
    maps = torch.randn(8, *grid.shape, generator=torch.Generator().manual_seed(0))
    column = FeatureMaps("before", (maps,), (torch.ones(grid.shape, dtype=torch.bool),))
    curves = {"train/loss": ([1, 2], [1.0, 0.5]), "collapse/rank_centred": ([2], [12.34])}
    labels = hand_made.labels
    assert labels is not None
    write_demo_report(
        tmp_path / "report.html",
        facts={"seed": 0, "processor": "<2 cores>"},
        timings=[("synth", 61.04, 512.0), ("pretrain lidar", 30.0, 900.4)],
        pretraining={
            sensor: PretrainingCost(curves, 64, {"parameters": "1.2 M"}, features_figure([hand_made], grid, [column]))
            for sensor in sensors
        },
        scores=[
            score(sensor, method, seed, mean_ap + seed / 500)
            for sensor in sensors
            for method, mean_ap in (("scratch", 0.2), ("jepa", 0.3))
            for seed in (0, 1)
        ],
        scenes=[Scene("a scene", hand_made, (labels.boxes, torch.tensor([0.9, 0.01]), labels.class_index))],
        finetuning={sensor: {"scratch": curves, "jepa": curves} for sensor in sensors},
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(html) < 5e6 and "&lt;2 cores&gt;" in html and "91.0" in html
    for sensor, name in (("lidar", "LiDAR"), ("camera", "Camera"), ("radar", "Radar")):
        assert (f"<strong>{name}</strong>, 4 labelled scenes" in html) == (sensor in sensors)
        assert (f">Pre-training: {name}</h2>" in html) == (sensor in sensors)
    if sensors:
        assert "20.1 ± 0.1" in html and "30.1 ± 0.1" in html and "difference of +10.0" in html
        assert html.count("<strong>gain</strong>") == len(sensors) and "12.3" in html
    else:
        assert "Nothing was evaluated." in html
