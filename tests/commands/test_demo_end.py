"""How the demo ends: a page that shows what its runs have measured."""

import base64
import io
import json
import math
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from avjepa.commands import demo_jobs, demo_report
from tests.data.conftest import VERSION
from tests.report.test_page import Reader


def test_the_page_is_written_and_its_numbers_are_those_of_the_runs(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo's own jobs for one sensor, a few steps each, on the tiny data set in the place of the synthetic one."""
    shutil.copytree(tiny, tmp_path / "data")
    (tmp_path / "data" / VERSION).rename(tmp_path / "data" / demo_jobs.VERSION)
    monkeypatch.setattr(demo_jobs, "PRETRAIN_STEPS", {"radar": 2})
    for module in (demo_jobs, demo_report):
        monkeypatch.setattr(module, "FINETUNE_STEPS", 2)
        monkeypatch.setattr(module, "LABELLED_SCENES", 1)
    outcomes = []
    for number, job in enumerate(demo_jobs.demo_jobs(tmp_path, 0, ["radar"])[1:]):
        assert isinstance(job.task, demo_jobs.PretrainTask | demo_jobs.FinetuneTask)
        job.task.configuration["data"]["workers"] = 0
        job.task.configuration["trainer"].update(accelerator="cpu", log_every_n_steps=1)
        job.task.run(0)
        outcomes.append({"job": job.name, "seconds": 11.5 + number, "peak_mebibytes": 700.0 + number})

    measured = {"jepa": (0.1234, 0.2345), "scratch": (0.3456, 0.4567)}  # two steps teach nothing, and 0 is any number
    for method, (mean_ap, nd_score) in measured.items():
        metrics = tmp_path / f"finetune/radar-{method}/evaluation/val/metrics.json"
        content = json.loads(metrics.read_text()) | {"mean_ap": mean_ap, "nd_score": nd_score}
        metrics.write_text(json.dumps(content))

    path = demo_report.write_report(tmp_path, 0, ["radar"], outcomes)

    assert path == tmp_path / "report.html"
    reader = Reader(path.read_text(encoding="utf-8"))
    pictures = [source.split(",", 1) for source in reader.values("img", "src")]
    rasters = [base64.b64decode(data) for media, data in pictures if "svg" not in media]
    assert len(rasters) == 3 and len(pictures) > 5, "the features, two scenes, and the charts"
    for raster in rasters:
        with Image.open(io.BytesIO(raster)) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 100, "not an empty sheet"
    for mean_ap, nd_score in measured.values():
        assert f"{100 * mean_ap:.1f}{100 * nd_score:.1f}" in reader.text, "two cells of a row"
    manifest = json.loads((tmp_path / "pretrain" / "radar" / "backbone" / "config.json").read_text())
    assert re.search(rf"parameters\s*{manifest['parameters']}", reader.text)
    assert re.search(r"samples per second\s*–", reader.text), "two steps are too few to measure it"
    assert "finetune-radar-jepa12.5701" in reader.text and "all steps37.5702" in reader.text


def test_a_mean_is_of_what_was_measured_and_nothing_where_nothing_was() -> None:
    curves = {"data_wait_share": ([10, 20, 30], [0.25, 0.125, math.nan]), "empty": ([], [])}
    assert demo_report.mean_measured(curves, "data_wait_share", digits=1, unit=0.01) == 18.8
    assert demo_report.mean_measured(curves, "empty", digits=1) is None
    assert demo_report.mean_measured(curves, "samples_per_second", digits=1) is None
