"""The stored scores: read back as they were written, or refused in one line."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avjepa.errors import UserError
from avjepa.evaluate.detection.scores import ERRORS, DetectionScores

APS = {"car": {"0.5": 0.2, "1": 0.4, "2": 0.6, "4": 0.8}, "cone": {"0.5": 0.0, "1": 0.0, "2": 0.2, "4": 0.2}}
SCORES = DetectionScores.of_classes(
    APS,
    {"car": dict(zip(ERRORS, (0.5, 0.1, 0.2, 2.0, 0.4), strict=True)),
     "cone": dict(zip(ERRORS, (0.7, 0.3, math.nan, math.nan, math.nan), strict=True))},
)  # fmt: skip


def test_means_of_the_classes_by_hand() -> None:
    assert SCORES.class_ap == pytest.approx({"car": 0.5, "cone": 0.1})
    assert SCORES.mean_ap == pytest.approx(0.3)
    assert SCORES.mean_errors == pytest.approx(dict(zip(ERRORS, (0.6, 0.2, 0.2, 2.0, 0.4), strict=True)))
    # an error above 1 counts as 1
    assert SCORES.nd_score == pytest.approx((5 * 0.3 + 0.4 + 0.8 + 0.8 + 0.0 + 0.6) / 10)


def test_scores_are_read_back(tmp_path: Path) -> None:
    SCORES.save(tmp_path / "metrics.json", evaluator="ours")
    loaded = DetectionScores.load(tmp_path / "metrics.json")
    assert repr(loaded) == repr(SCORES)  # NaN is not equal to itself
    assert json.loads((tmp_path / "metrics.json").read_text())["evaluator"] == "ours"


def without(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def change(content: dict[str, Any]) -> Any:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return content

    return change


def with_value(value: Any, *keys: str) -> Callable[[dict[str, Any]], Any]:
    def change(content: dict[str, Any]) -> Any:
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return content

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        *((without(key), f"lacks '{key}'") for key in ("mean_ap", "nd_score", "class_ap", "class_errors")),
        (without("class_errors", "car", "vel_err"), "'car' lacks 'vel_err'"),
        (without("class_ap_by_distance", "cone"), "'class_ap_by_distance' lacks 'cone'"),
        (with_value("high", "mean_ap"), "'mean_ap' of the file is no number"),
        (with_value(True, "mean_ap"), "'mean_ap' of the file is no number"),
        (with_value(float("inf"), "mean_ap"), "'mean_ap' of the file is no number"),
        (with_value(10**400, "nd_score"), "'nd_score' of the file is no number"),
        (with_value([], "class_ap"), "'class_ap' is no object"),
        (with_value(None, "class_errors", "car"), "'car' is no object"),
        (with_value({}, "class_errors", "car", "vel_err"), "'vel_err' of 'car' is no number"),
        (lambda content: [content], "the file is no object"),
        (lambda content: None, "the file is no object"),
    ],
)
def test_a_file_that_holds_no_scores_is_one_line(
    change: Callable[[dict[str, Any]], Any], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.json"
    SCORES.save(path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match=problem) as refusal:
        DetectionScores.load(path)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"mean_ap": ' + "9" * 5000 + "}"])
def test_a_file_that_is_broken_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json: cannot be read as scores") as refusal:
        DetectionScores.load(path)
    assert str(refusal.value).isprintable()
    path.unlink()
    with pytest.raises(UserError, match=r"metrics\.json: cannot be read as scores"):
        DetectionScores.load(path)
