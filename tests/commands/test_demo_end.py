"""How the demo ends: a page that shows what its runs have measured."""

import base64
import io
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from avjepa.commands import demo_jobs, demo_report
from avjepa.release.store import RECORD
from tests.commands.test_release import HEADS
from tests.data.conftest import VERSION
from tests.report.test_page import Reader


def test_the_page_is_written_and_its_numbers_are_those_of_the_runs(
    tiny: Path, small_zoo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's own jobs with a small backbone, a few steps each, on the tiny data set in the place of its world."""
    shutil.copytree(tiny, tmp_path / "data")
    tables = (tmp_path / "data" / VERSION).rename(tmp_path / "data" / demo_jobs.VERSION)
    splits = {"train": ["scene-0000", "scene-0001"], "val": ["scene-0000", "scene-0001"]}  # a comparison needs two
    (tables / "splits.json").write_text(json.dumps(splits))
    heads = tmp_path / "heads.yaml"
    heads.write_text(yaml.safe_dump(HEADS))
    monkeypatch.setattr(demo_jobs, "HEADS", heads)
    size = demo_jobs.Size(scenes=3, keyframes=4, val_fraction=0.3, pretrain_steps=2, steps=2, first_labels=1)
    outcomes = []
    for number, job in enumerate(demo_jobs.demo_jobs(tmp_path, 0, small_zoo, size)[1:]):
        if isinstance(job.task, demo_jobs.PretrainTask | demo_jobs.FinetuneTask):
            job.task.configuration["data"]["workers"] = 0
            job.task.configuration["trainer"].update(accelerator="cpu", log_every_n_steps=1)
        job.task.run(0)
        outcomes.append({"job": job.name, "seconds": 11.5 + number, "peak_mebibytes": 700.0 + number})

    for release, mean_ap in (("r1", 0.1234), ("r2", 0.3456)):  # two steps teach nothing, and 0 is any number
        record = tmp_path / "releases" / "releases" / release / RECORD
        content = json.loads(record.read_text())
        content["scores"]["detection"]["mAP"] = mean_ap
        record.chmod(0o600)
        record.write_text(json.dumps(content))

    path = demo_report.write_report(tmp_path, 0, small_zoo, size, outcomes)

    assert path == tmp_path / "report.html"
    reader = Reader(path.read_text(encoding="utf-8"))
    pictures = [source.split(",", 1) for source in reader.values("img", "src")]
    rasters = [base64.b64decode(data) for media, data in pictures if "svg" not in media]
    scenes = 2 * (2 + 1)  # two cameras, and from above
    assert len(rasters) == 1 + scenes and len(pictures) > len(rasters), "the features, two scenes, and the charts"
    for raster in rasters:
        with Image.open(io.BytesIO(raster)) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 100, "not an empty sheet"
    assert "detection: mAP12.334.6" in reader.text, "cells of a row"
    assert "34.6 (1 seed) of heads on the frozen backbone" in reader.text
    manifest = json.loads((tmp_path / "pretrained" / "backbone" / "config.json").read_text())
    assert re.search(rf"parameters\s*{manifest['parameters']}", reader.text)
    assert re.search(r"samples per second\s*–", reader.text), "two steps are too few to measure it"
    assert "pretrain12.5701" in reader.text and "all steps84.0705" in reader.text
    assert (tmp_path / "releases" / "comparisons" / "r1_r2" / "comparison.html").is_file()
    assert "releases/comparisons/r1_r2/comparison.html" in reader.text
    aliases = json.loads((tmp_path / "releases" / "aliases.json").read_text())
    assert "champion" in json.dumps(aliases)


def test_a_mean_is_of_what_was_measured_and_nothing_where_nothing_was() -> None:
    curves = {"data_wait_share": ([10, 20, 30], [0.25, 0.125, math.nan]), "empty": ([], [])}
    assert demo_report.mean_measured(curves, "data_wait_share", digits=1, unit=0.01) == 18.8
    assert demo_report.mean_measured(curves, "empty", digits=1) is None
    assert demo_report.mean_measured(curves, "samples_per_second", digits=1) is None
