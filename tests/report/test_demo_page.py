"""The demo's page: what was measured, said once and in per cent."""

import re
from pathlib import Path

import pytest
import torch

from avjepa.data.sample import Sample
from avjepa.data.taxonomy import load_taxonomy
from avjepa.geometry.grid import BEVGrid
from avjepa.report.demo_page import GateAnswer, Model, PretrainingCost, Scene, Sure, write_demo_report
from avjepa.report.features import FeatureMaps, features_figure
from avjepa.report.page import ReportPage
from avjepa.report.sample_pictures import sample_pictures
from avjepa.report.segmentation import ClassMap

CLASSES = load_taxonomy("nuscenes").classes
CURVES = {"train/loss": ([1, 2], [1.0, 0.5]), "collapse/rank_centred": ([2], [12.34])}


def model(name: str, mean_ap: float, **more: dict[str, float]) -> Model:
    figures = {"detection": {"mAP": mean_ap, "NDS": mean_ap / 2}, **more}
    return Model(name, "of a kind", 4, 100, 12.4, figures, {CLASSES[0]: mean_ap, CLASSES[1]: float("nan")}, CURVES)


@pytest.mark.parametrize("whole", [True, False])
def test_the_page_says_what_was_measured(whole: bool, hand_made: Sample, tmp_path: Path) -> None:
    grid = BEVGrid(-16.0, 16.0, -16.0, 16.0, 1.6)
    maps = torch.randn(8, *grid.shape, generator=torch.Generator().manual_seed(0))
    column = FeatureMaps("before", (maps,), (torch.ones(grid.shape, dtype=torch.bool),))
    labels = hand_made.labels
    assert labels is not None
    pretraining = PretrainingCost(CURVES, 64, {"parameters": "1.2 M"}, features_figure([hand_made], grid, [column]))
    changes = {("detection", "mAP"): (0.2, 0.05, 0.31)}
    gate = GateAnswer(True, "passed: r2 loses nothing", ["- new: segmentation"], "a/comparison.html", changes)
    write_demo_report(
        tmp_path / "report.html",
        facts={"seed": 0, "processor": "<2 cores>"},
        timings=[("synth", 61.04, 512.0), ("pretrain", 30.0, 900.4)],
        models=[model("r1", 0.1), model("r2", 0.3, segmentation={"mIoU": 0.456}), model("from nothing", 0.2)],
        gate=gate if whole else None,
        scenes=[Scene("a scene", hand_made, (labels.boxes, torch.tensor([0.9, 0.5]), labels.class_index))],
        sure=[Sure("traffic_cone", 0.37, 0.5, 0.125)],
        backbone={"bundle": "zoo:small 1.0.0"},
        pretraining=pretraining if whole else None,
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(html) < 5e6 and "&lt;2 cores&gt;" in html and "91.0" in html and "zoo:small 1.0.0" in html
    assert "30.0 (1 seed) of heads on the frozen backbone against 20.0 (1 seed)" in html
    assert "cannot be called a gain or a loss" in html and "45.6" in html and "12 s for the heads of r2" in html
    assert html.count("passed: r2 loses nothing") == (2 if whole else 0)
    assert ("<code>a/comparison.html</code>" in html) == whole
    assert ("A short pre-training" in html and "12.3" in html) == whole
    said = "r2 may go out: mAP 30.0 % against 20.0 %" if whole else "r2 reaches mAP 30.0 % against 20.0 %"
    assert f"<strong>{said} of the same network from nothing (one seed: no proof of a gain).</strong>" in html
    assert ("+20.0 (+5.0 to +31.0)" in html) == whole
    assert "F1, the harmonic mean of precision and recall, of their class is greatest" in html
    assert re.search(r"<td>traffic cone</td><td[^>]*>0.37</td><td[^>]*>50.0</td><td[^>]*>12.5</td>", html)


def test_every_picture_is_described_to_those_who_cannot_see_it(hand_made: Sample, tmp_path: Path) -> None:
    cells = torch.zeros(20, 20, dtype=torch.bool)
    predicted, present = cells.clone(), cells.clone()
    predicted[:2], present[1:4] = True, True
    shown = ClassMap("drivable_area", BEVGrid(-16.0, 16.0, -16.0, 16.0, 1.6), predicted, present, ~cells)
    detections = (hand_made.labels.boxes[:1], torch.tensor([0.9]), torch.tensor([8]))
    pictures = sample_pictures(hand_made, detections, segmentation=[shown])
    (above, segmentation), cameras = pictures.above, pictures.cameras
    annotated = len(hand_made.labels)
    numbers = re.findall(r"(\d+) [a-z ]+", above.alt.partition("annotated are ")[2].partition(";")[0])
    assert sum(map(int, numbers)) == annotated and above.alt.endswith("found are 1 pedestrian")
    assert len(cameras) == len(hand_made.cameras.channels)
    assert segmentation.alt == "map of drivable area: 20 cells found, 40 missed, 20 not there"
    with pytest.raises(ValueError, match="needs a text"):
        ReportPage("x").add_image(above.png, "a caption", " ")
