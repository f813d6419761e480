"""Data of one's own through the commands: other channels, other categories."""

import json
from pathlib import Path

import pytest
import yaml

from tests.commands.small import small
from tests.commands.test_bad_input import refused
from tests.commands.test_training import VERSION, avjepa
from tests.data.loading.test_other_channels import OTHER_NAMES
from tests.data.loading.test_teachable import OWN_NAMES
from tests.data.nuscenes.test_index import edit

OWN_CLASSES = {
    "classes": ["walker", "vehicle"],
    "categories": {"PASSENGER_CAR": "vehicle", "PERSON": "walker", "FENCE": None, "animal": None},
    "groups": [{"classes": ["vehicle"], "nms_radius": 2.0}, {"classes": ["walker"], "nms_radius": 0.5}],
    "ranges": {"walker": 40, "vehicle": 50},
}


@pytest.fixture
def own(copy: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A data set whose sensors and categories have names of their own, and a taxonomy of them."""
    edit(copy, "category", lambda rows: [row | {"name": OWN_NAMES.get(row["name"], row["name"])} for row in rows])
    edit(copy, "sensor", lambda rows: [row | {"channel": OTHER_NAMES[row["channel"]]} for row in rows])
    taxonomy = tmp_path / "classes.yaml"
    taxonomy.write_text(yaml.safe_dump(OWN_CLASSES))
    return copy, taxonomy


def test_a_detector_of_own_classes_on_own_channels_is_trained_and_predicts_them(
    own: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, taxonomy = own
    run = tmp_path / "run"
    monkeypatch.chdir(taxonomy.parent)
    options = ("--data.taxonomy", taxonomy.name, "--data.channels.lidar", "[LIDAR_FRONT_LEFT]", "--evaluate", "true")
    quick = ("--model.tasks.detection.init_args.head.init_args.score_threshold", 0.0)
    assert small("finetune", data, run, "--steps", 2, *options, *quick) == 0
    results = json.loads((run / "evaluation" / "val" / "predictions.json").read_text())["results"]
    names = {box["detection_name"] for boxes in results.values() for box in boxes}
    assert names and names <= {"walker", "vehicle"}
    monkeypatch.chdir(run)  # the run does not depend on the folder that it was started in
    assert avjepa("evaluate", "--run", run) == 0, "the run's own taxonomy and channels are read again"
    channels = tmp_path / "channels.yaml"
    channels.write_text("lidar: [LIDAR_X]\n")
    capfd.readouterr()
    refused(capfd, avjepa("evaluate", "--run", run, "--channels", channels), "'LIDAR_X'", "LIDAR_FRONT_LEFT")


def test_without_a_taxonomy_the_training_names_the_categories(
    own: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, _ = own
    code = small("finetune", data, tmp_path / "run", "--data.channels.lidar", "[LIDAR_FRONT_LEFT]", "--steps", 1)
    refused(capfd, code, VERSION, "PASSENGER_CAR (4)", "PERSON (3)", "data.taxonomy")
