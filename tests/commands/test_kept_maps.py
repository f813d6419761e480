"""``finetune --features`` and ``evaluate --features``: heads on the kept maps of a frozen backbone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands.test_training import VERSION, avjepa, finetune, pretrain

STEPS = ("--steps", 3, "--data.augmentation.draws", 1)


@pytest.fixture(scope="module")
def frozen(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    out = tmp_path_factory.mktemp("pretrained")
    assert pretrain(tiny, out, "lidar", "--steps", 2) == 0
    return ("--bundle", out / "backbone", "--model.mode", "frozen")


def boxes(run: Path) -> list[dict[str, Any]]:
    results = json.loads((run / "evaluation" / "val" / "predictions.json").read_text())["results"]
    return [box for _, found in sorted(results.items()) for box in found]


def test_heads_learn_and_predict_from_maps_as_they_do_above_the_backbone(
    tiny: Path, tmp_path: Path, frozen: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*STEPS, *frozen, "--trainer.precision", "32-true")
    assert finetune(tiny, tmp_path / "plain", "lidar", *options) == 0
    assert finetune(tiny, tmp_path / "kept", "lidar", *options, "--features", tmp_path / "maps") == 0
    assert "computing about" in capsys.readouterr().err
    plain, kept = boxes(tmp_path / "plain"), boxes(tmp_path / "kept")
    best = sorted(plain, key=lambda box: -box["detection_score"])[:40]
    apart = [_apart(box, kept) for box in best]
    assert np.median(apart) < 0.1, "m: the same boxes, but for what half precision rounds"
    meta = json.loads((tmp_path / "kept" / "evaluation" / "val" / "predictions.json").read_text())["meta"]
    assert meta["use_lidar"] is True and meta["use_camera"] is False

    # the run is one like any other, and the maps serve its evaluation too: without a sensor file
    assert avjepa("evaluate", "--run", tmp_path / "kept", "--out", tmp_path / "through") == 0
    through = boxes(tmp_path / "through")
    assert np.median([_apart(box, through) for box in boxes(tmp_path / "kept")]) < 0.1
    data = tmp_path / "data"
    shutil.copytree(tiny, data)
    shutil.rmtree(data / "samples" / "LIDAR_TOP")
    again = ("--data", data, "--version", VERSION, "--out", tmp_path / "again", "--features", tmp_path / "maps")
    assert avjepa("evaluate", "--run", tmp_path / "kept", *again) == 0
    assert boxes(tmp_path / "again") == kept
    assert "computing about" not in capsys.readouterr().err


def _apart(box: dict[str, Any], others: list[dict[str, Any]]) -> float:
    """Metres to the nearest box of the class in the same sample."""
    alike = [
        other["translation"][:2] for other in others
        if (other["sample_token"], other["detection_name"]) == (box["sample_token"], box["detection_name"])
    ]  # fmt: skip
    return float(np.min(np.linalg.norm(np.subtract(alike, box["translation"][:2]), axis=1))) if alike else 100.0


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--model.mode", "end_to_end"), "--features: the maps of a backbone that learns change"),
        (("--model.stages", "[{share: 1.0, sensor_dropout: 0.5}]"), "model.stages: number 0 shows some of the sensors"),
        (("--trainer.devices", 2), "--features: is for one process"),
        (("--model.bundle", "null"), "--features: keeps the maps of a pre-trained backbone"),
        (("--data.gt_sampling.stop_fraction", 0.2), "data.gt_sampling: objects cannot be pasted"),
    ],
)
def test_what_maps_cannot_stand_for_is_refused_in_one_line(
    tiny: Path, tmp_path: Path, frozen: tuple[object, ...], capsys: pytest.CaptureFixture[str],
    more: tuple[object, ...], named: str,
) -> None:  # fmt: skip
    out = tmp_path / "run"
    assert finetune(tiny, out, "lidar", *STEPS, *frozen, "--features", tmp_path / "maps", *more) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("avjepa: error:") == 1
    assert not out.exists() and not (tmp_path / "maps").exists()


def test_maps_of_another_backbone_are_refused(
    tiny: Path, tmp_path: Path, frozen: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(tiny, tmp_path / "other", "lidar", "--steps", 1) == 0
    kept = ("--features", tmp_path / "maps", "--evaluate", "false")
    assert finetune(tiny, tmp_path / "one", "lidar", *STEPS, *frozen, *kept) == 0
    frozen = ("--bundle", tmp_path / "other" / "backbone", "--model.mode", "frozen")
    assert finetune(tiny, tmp_path / "two", "lidar", *STEPS, *frozen, *kept) == 2
    assert "holds features of another backbone" in capsys.readouterr().err
