"""The example of an adapter says of its drives what the world says that they were made of."""

import importlib
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from avjepa import cli
from avjepa.data import datasets
from avjepa.data.datasets import layout_of, open_dataset
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs
from avjepa.errors import BadFileError, UserError

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
SWEEP = SensorInputs(lidar=LidarSweeps(1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world, and its drives in the made-up format. Not to be changed."""
    root = tmp_path_factory.mktemp("made")
    options = ("--scenes", "2", "--keyframes", "3", "--image_width", "64", "--val_fraction", "0.5", "--workers", "1")
    assert cli.main(["synth", "--out", str(root / "world"), *options]) == 0
    runpy.run_path(str(EXAMPLES / "my_drives.py"))["main"](root / "world", root / "drives" / "first")
    return root


@pytest.fixture
def drives(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the drives; the adapter is registered until the test is over."""
    shutil.copytree(made / "drives", tmp_path / "drives")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(datasets, "LAYOUTS", dict(datasets.LAYOUTS))
    monkeypatch.delitem(sys.modules, "my_adapter", raising=False)
    importlib.import_module("my_adapter")
    yield tmp_path / "drives"
    sys.modules.pop("my_adapter", None)


def test_it_is_short_and_says_the_same(made: Path, drives: Path) -> None:
    assert len((EXAMPLES / "my_adapter.py").read_text().splitlines()) < 100
    assert layout_of(drives, "first") == "my-drives"
    ours, world = open_dataset(drives, "first"), open_dataset(made / "world", "v1.0-synth")
    assert isinstance(ours, DrivingDataset) and ours.taxonomy.classes == ("vehicle", "person")
    assert ours.scenes_of("val") == world.scenes_of("val")
    keyframes = world.moments(ours.scenes_of(None), keyframes_only=True)
    assert len(ours) == len(keyframes) == 6
    compared = 0
    for moment, scene in enumerate(map(ours.scene_of, range(len(ours)))):
        place = moment - int(ours.moments([scene])[0])
        same = int(world.moments([scene], keyframes_only=True)[place])
        (sample,), (expected,) = load_samples(ours, moment, (SWEEP,)), load_samples(world, same, (SWEEP,))
        assert sample.timestamp == expected.timestamp
        assert sample.lidar is not None and expected.lidar is not None
        torch.testing.assert_close(sample.lidar[:, :4], expected.lidar[:, :4], atol=1e-3, rtol=0)
        labels, truth = ours.labels(moment), world.labels(same)
        kinds = [world.taxonomy.classes[kind] for kind in truth.class_index.tolist()]
        rows = [row for row, kind in enumerate(kinds) if ours.taxonomy.class_of(kind) >= 0]
        torch.testing.assert_close(labels.boxes[:, :7], truth.boxes[rows, :7], atol=1e-3, rtol=0)
        known = truth.boxes[rows, 7].isfinite()
        torch.testing.assert_close(labels.boxes[known, 7:], truth.boxes[rows][known, 7:], atol=0.02, rtol=0)
        few = (labels.lidar_points - truth.lidar_points[rows]).abs() <= 1  # counted again, to the rounding of a face
        assert few.float().mean() > 0.9
        compared += len(rows)
    assert compared > 10


def test_its_files_may_be_broken(drives: Path) -> None:
    dataset = open_dataset(drives, "first")
    scene = dataset.scene_of(0)
    path = Path(dataset.files(0, ("roof",), (0,))["roof", 0].path)
    path.write_bytes(b"PK")
    with pytest.raises(BadFileError, match=f"{path.name}: holds no points"):
        load_samples(dataset, 0, (SWEEP,))
    (drives / "first" / scene / "frames.json").write_text("[")
    again = type(dataset)(dataset.dataroot, dataset.version, dataset.splits, dataset.channels, dataset.taxonomy)
    with pytest.raises(UserError, match=r"frames.json: cannot be read"):
        len(again)
