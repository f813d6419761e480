import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval

from avjepa.data.nuscenes.schema import CLASSES
from avjepa.errors import UserError
from avjepa.evaluate.detection.devkit import evaluate_detection, split_sample_tokens
from avjepa.evaluate.detection.fast import FastDetectionEval
from avjepa.evaluate.detection.scores import DetectionScores

SPLITS = {"train": ["scene-a"], "val": ["scene-b"]}
OBJECTS = [
    ("vehicle.car", "vehicle.moving", [2.0, 4.5, 1.5], [3.0, 0.0]),
    ("vehicle.truck", "vehicle.parked", [2.5, 8.0, 3.0], [0.0, 0.0]),
    ("vehicle.bus.rigid", "vehicle.stopped", [3.0, 11.0, 3.5], [0.0, 0.0]),
    ("vehicle.trailer", "vehicle.moving", [2.9, 12.0, 3.9], [1.0, 1.0]),
    ("vehicle.construction", "vehicle.parked", [2.8, 6.0, 3.2], [0.0, 0.0]),
    ("human.pedestrian.adult", "pedestrian.standing", [0.7, 0.7, 1.8], [0.0, 0.0]),
    ("vehicle.motorcycle", "cycle.with_rider", [0.8, 2.1, 1.5], [0.0, 4.0]),
    ("vehicle.bicycle", "cycle.without_rider", [0.6, 1.7, 1.3], [0.0, 0.0]),
    ("movable_object.trafficcone", "", [0.4, 0.4, 1.0], [0.0, 0.0]),
    ("movable_object.barrier", "", [2.5, 0.5, 1.0], [0.0, 0.0]),
]


def everything(points: int = 9) -> list[dict[str, Any]]:
    """One object of every class, 2 m to 20 m ahead."""
    return [
        {"category": c, "attribute": a, "xy": [2.0 + 2 * i, -5.0], "size": s, "velocity": v, "points": points}
        for i, (c, a, s, v) in enumerate(OBJECTS)
    ]


def figures(scores: DetectionScores) -> np.ndarray:  # type: ignore[type-arg]
    tables = [scores.class_ap, *scores.class_ap_by_distance.values(), scores.mean_errors, *scores.class_errors.values()]
    return np.array([scores.mean_ap, scores.nd_score, *(value for table in tables for value in table.values())])


def car_at(token: str, x: float, score: float) -> dict[str, Any]:
    return {
        "sample_token": token, "translation": [x, 200.0, 1.0], "size": [2.0, 4.0, 1.5], "rotation": [1.0, 0, 0, 0],
        "velocity": [0.0, 0.0], "detection_name": "car", "detection_score": score, "attribute_name": "vehicle.parked",
    }  # fmt: skip


@pytest.mark.parametrize("split", ["train", "val"])
def test_perfect_predictions_score_one_on_a_split_of_an_unknown_version(
    split: str, tiny_dataset: Any, entries_from_annotations: Any, write_results: Any, tmp_path: Path
) -> None:
    root = tiny_dataset(everything(), SPLITS)
    nusc = NuScenes("v1.0-synth", str(root), verbose=False)
    chosen = split_sample_tokens(nusc, split)
    assert chosen == [f"{SPLITS[split][0]}-{time}" for time in range(3)]
    results = {token: boxes for token, boxes in entries_from_annotations(nusc).items() if token in chosen}
    scores = evaluate_detection(write_results(results), root, "v1.0-synth", split, tmp_path / "out")
    assert scores.mean_ap == pytest.approx(1.0)
    assert scores.nd_score == pytest.approx(1.0)
    assert all(error == pytest.approx(0.0, abs=1e-9) for error in scores.mean_errors.values())


def hand_computed(tiny_dataset: Any, write_results: Callable[..., Path]) -> tuple[Path, Path]:
    """Two parked cars in the last sample only are near predictions; every sample has them, so there are 6 in all."""
    car = {"category": "vehicle.car", "attribute": "vehicle.parked", "size": [2.0, 4.0, 1.5], "velocity": [0.0, 0.0]}
    root = tiny_dataset([{**car, "xy": [10.0, 0.0], "points": 3}, {**car, "xy": [30.0, 0.0], "points": 3}], SPLITS)
    results: dict[str, list[dict[str, Any]]] = {}
    for time in range(3):
        token = f"scene-b-{time}"
        results[token] = [
            car_at(token, 110.25, 0.9),  # a hit at .25 m
            car_at(token, 120.0, 0.8),  # nothing within 4 m
            car_at(token, 131.5, 0.7),  # a hit at 1.5 m
        ]
    return root, write_results(results)


def test_a_case_computed_by_hand(tiny_dataset: Any, write_results: Any, tmp_path: Path) -> None:
    root, predictions = hand_computed(tiny_dataset, write_results)
    scores = evaluate_detection(predictions, root, "v1.0-synth", "val", tmp_path / "out")
    # Within .5 and 1 m: precision 1 up to a recall of .5, there 3/9 (the last of the nine predictions), 0 beyond. Bins
    # 11-49 count .9, bin 50 counts 1/3 - .1; the mean over 90 bins is divided by .9.
    near = (39 * 0.9 + (3 / 9 - 0.1)) / 90 / 0.9
    # Within 2 and 4 m: precision 3/6 at recall .5 (after three misses), then 4/7, 5/8, 6/9 at recalls 4/6, 5/6, 1, and
    # straight lines between them.
    recalls = np.arange(50, 101) / 100
    far_precision = np.interp(recalls, [0.5, 4 / 6, 5 / 6, 1.0], [3 / 6, 4 / 7, 5 / 8, 6 / 9])
    far = (39 * 0.9 + (far_precision - 0.1).sum()) / 90 / 0.9
    assert scores.class_ap_by_distance["car"] == pytest.approx({"0.5": near, "1": near, "2": far, "4": far})
    assert scores.mean_ap == pytest.approx((near + far) / 2 / 10)
    assert scores.class_errors["car"]["scale_err"] == scores.class_errors["car"]["attr_err"] == 0
    assert all(scores.class_ap[name] == 0 for name in CLASSES if name != "car")
    # a class without annotations has error 1; cones and barriers lack some errors altogether
    assert scores.mean_errors["scale_err"] == pytest.approx(9 / 10)
    assert scores.mean_errors["orient_err"] == pytest.approx(8 / 9)
    assert scores.mean_errors["attr_err"] == pytest.approx(7 / 8)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["mean_ap"] == scores.mean_ap
    assert (written["split"], written["samples"]) == ("val", 3)
    assert written["class_errors"]["traffic_cone"]["vel_err"] is None
    np.testing.assert_equal(figures(DetectionScores.load(tmp_path / "out" / "metrics.json")), figures(scores))


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.3), (2, 1.2)])
def test_both_evaluators_equal_the_unmodified_devkit_on_real_boxes(
    seed: int, noise: float, minival: NuScenes, entries_from_annotations: Any, write_results: Any, tmp_path: Path
) -> None:
    predictions = write_results(entries_from_annotations(minival, noise, seed))
    config = config_factory("detection_cvpr_2019")
    devkit = DetectionEval(minival, config, str(predictions), "mini_val", str(tmp_path / "devkit"), verbose=False)
    official = figures(DetectionScores.from_devkit(devkit.evaluate()[0]))
    assert 0.1 < official[0] < 0.7
    ours = evaluate_detection(predictions, tmp_path, "v1.0-mini", "mini_val", tmp_path / "out", minival)
    np.testing.assert_array_equal(figures(ours), official)
    fast = FastDetectionEval(minival, "mini_val").evaluate(predictions)
    np.testing.assert_allclose(figures(fast), official, rtol=0, atol=1e-9)


def test_the_fast_evaluator_on_the_cases_that_are_easy_to_get_wrong(
    tiny_dataset: Any, write_results: Any, tmp_path: Path
) -> None:
    """A distance of exactly .5 m, two predictions for one car, equal scores, a car without points."""
    car = {"category": "vehicle.car", "attribute": "vehicle.parked", "size": [2.0, 4.0, 1.5], "velocity": [0.0, 0.0]}
    things = [{**car, "xy": [10.0, 0.0], "points": 3}, {**car, "xy": [10.5, 0.0], "points": 0}]
    root = tiny_dataset([*things, {**car, "xy": [14.0, 0.0], "points": 1}], SPLITS)
    results: dict[str, list[dict[str, Any]]] = {f"scene-b-{time}": [] for time in range(3)}
    for token, xs in zip(results, ([110.5, 109.9], [110.0, 112.0], [113.0, 111.0]), strict=True):
        results[token] = [car_at(token, x, 0.5) for x in xs]
    predictions = write_results(results)
    scores = evaluate_detection(predictions, root, "v1.0-synth", "val", tmp_path / "out")
    nusc = NuScenes("v1.0-synth", str(root), verbose=False)
    fast = FastDetectionEval(nusc, "val").evaluate(predictions)
    np.testing.assert_allclose(figures(fast), figures(scores), rtol=0, atol=1e-12)


def test_no_detections_and_no_annotations_score_nothing(tiny_dataset: Any, write_results: Any, tmp_path: Path) -> None:
    for objects in (everything(), everything(points=0), []):
        root = tiny_dataset(objects, SPLITS)
        predictions = write_results({f"scene-b-{time}": [] for time in range(3)})
        scores = evaluate_detection(predictions, root, "v1.0-synth", "val", tmp_path / "out")
        assert (scores.mean_ap, scores.nd_score) == (0.0, 0.0)
        fast = FastDetectionEval(NuScenes("v1.0-synth", str(root), verbose=False), "val").evaluate(predictions)
        np.testing.assert_equal(figures(fast), figures(scores))


def test_bad_input_is_one_clear_line(tiny_dataset: Any, write_results: Any, tmp_path: Path) -> None:
    root, predictions = hand_computed(tiny_dataset, write_results)

    def evaluate(path: Path = predictions, version: str = "v1.0-synth", split: str = "val") -> None:
        evaluate_detection(path, root, version, split, tmp_path / "out")

    with pytest.raises(UserError, match="no such file"):
        evaluate(tmp_path / "absent.json")
    with pytest.raises(UserError, match=r"v1\.0-none: no such folder"):
        evaluate(version="v1.0-none")
    with pytest.raises(UserError, match=r"split 'test' does not exist in v1\.0-synth; choose one of"):
        evaluate(split="test")
    with pytest.raises(UserError, match="3 samples of the split are missing and 3 are not of it"):
        evaluate(split="train")
    content = json.loads(predictions.read_text())
    content["results"]["scene-b-0"] *= 200
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_text(json.dumps(content))
    with pytest.raises(UserError, match="more than 500 boxes"):
        evaluate(spoiled)
    with pytest.raises(UserError, match="more than 500 boxes"):
        FastDetectionEval(NuScenes("v1.0-synth", str(root), verbose=False), "val").evaluate(spoiled)
    spoiled.write_text('{"results": {}')
    with pytest.raises(UserError, match=r"spoiled.json: not a nuScenes detection result"):
        evaluate(spoiled)
