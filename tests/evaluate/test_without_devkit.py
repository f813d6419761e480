"""Without nuscenes-devkit, as on Python 3.13, everything works but its own scores and its lists of splits."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avjepa.data.datasets import open_dataset
from avjepa.data.nuscenes.splits import official_splits
from avjepa.errors import UserError


@pytest.fixture
def no_devkit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "nuscenes" else found(name, *more)
    )


def test_scores_are_our_evaluators_and_the_reason_is_said(no_devkit: None, tiny_dataset: Callable[..., Path]) -> None:
    car: dict[str, Any] = {
        "category": "vehicle.car",
        "attribute": "vehicle.parked",
        "size": [2.0, 4.0, 1.5],
        "points": 9,
    }
    root = tiny_dataset([car | {"xy": [0.0, 5.0], "velocity": [0.0, 0.0]}], {"val": ["scene-a"]})
    assert "nuscenes-devkit is not installed" in open_dataset(root, "v1.0-synth").unfit_for_devkit("val")


def test_official_splits_are_asked_for_in_one_line(no_devkit: None, tmp_path: Path) -> None:
    folder = tmp_path / "v1.0-trainval"
    folder.mkdir()
    with pytest.raises(UserError, match=r"list the scenes in v1.0-trainval/splits.json"):
        official_splits(folder)
    (folder / "splits.json").write_text('{"train": ["scene-0001"]}')
    assert official_splits(folder) == {}
