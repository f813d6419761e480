"""Scores of result files: hand-computed, and equal to the devkit's on everything that is easy to get wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval

from avjepa.data.datasets import open_dataset
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.evaluate.detection.devkit import devkit_scores
from avjepa.evaluate.detection.fast import FastDetectionEval
from avjepa.evaluate.detection.ground_truth import GroundTruth
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.evaluate.detection.scores import DetectionScores
from avjepa.evaluate.detection.scoring import evaluate_detection
from avjepa.heads.task import ScoredSplit

NUSCENES = load_taxonomy("nuscenes")
SYNTH = "v1.0-synth"
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
CAR = {"category": "vehicle.car", "attribute": "vehicle.parked", "size": [2.0, 4.0, 1.5], "velocity": [0.0, 0.0]}


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


def evaluated(predictions: Path, root: Path, split: str, **options: Any) -> DetectionScores | None:
    scored = ScoredSplit(open_dataset(root, SYNTH), split)
    return evaluate_detection(predictions, scored, predictions.parent / "out", **options)


def truth_of(root: Path, version: str, split: str) -> GroundTruth:
    source = open_dataset(root, version)
    return GroundTruth.of(source.annotated_keyframes(source.scenes_of(split)), NUSCENES)


def fast_scores(predictions: Path, root: Path, version: str, split: str) -> DetectionScores:
    return FastDetectionEval(truth_of(root, version, split), NUSCENES).evaluate(read_result_file(predictions, NUSCENES))


def official_scores(predictions: Path, root: Path, split: str) -> DetectionScores:
    tokens = [f"{scene}-{time}" for scene in SPLITS[split] for time in range(3)]
    return devkit_scores(predictions, root, SYNTH, tokens, NUSCENES.classes)


def metrics(predictions: Path) -> dict[str, Any]:
    return json.loads((predictions.parent / "out" / "metrics.json").read_text())


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("fast", [False, True])
def test_perfect_predictions_score_one_on_a_split_of_an_unknown_version(
    split: str, fast: bool, tiny_dataset: Any, entries_from_annotations: Any, write_results: Any
) -> None:
    root = tiny_dataset(everything(), SPLITS)
    results = entries_from_annotations(NuScenes(SYNTH, str(root), verbose=False))
    chosen = {f"{SPLITS[split][0]}-{time}" for time in range(3)}
    predictions = write_results({token: boxes for token, boxes in results.items() if token in chosen})
    scores = evaluated(predictions, root, split, fast=fast)
    assert scores is not None
    assert scores.mean_ap == pytest.approx(1.0)
    assert scores.nd_score == pytest.approx(1.0)
    assert all(error == pytest.approx(0.0, abs=1e-9) for error in scores.mean_errors.values())
    assert metrics(predictions)["boxes"] == 30


def hand_computed(tiny_dataset: Any, write_results: Callable[..., Path]) -> tuple[Path, Path]:
    """Two parked cars in the last sample only are near predictions; every sample has them, so there are 6 in all."""
    root = tiny_dataset([{**CAR, "xy": [10.0, 0.0], "points": 3}, {**CAR, "xy": [30.0, 0.0], "points": 3}], SPLITS)
    results: dict[str, list[dict[str, Any]]] = {}
    for time in range(3):
        token = f"scene-b-{time}"
        results[token] = [
            car_at(token, 110.25, 0.9),  # a hit at .25 m
            car_at(token, 120.0, 0.8),  # nothing within 4 m
            car_at(token, 131.5, 0.7),  # a hit at 1.5 m
        ]
    return root, write_results(results)


@pytest.mark.parametrize("fast", [False, True])
def test_a_case_computed_by_hand(fast: bool, tiny_dataset: Any, write_results: Any) -> None:
    root, predictions = hand_computed(tiny_dataset, write_results)
    scores = evaluated(predictions, root, "val", fast=fast)
    assert scores is not None
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
    assert all(scores.class_ap[name] == 0 for name in NUSCENES.classes if name != "car")
    # a class without annotations has error 1; cones and barriers lack some errors altogether
    assert scores.mean_errors["scale_err"] == pytest.approx(9 / 10)
    assert scores.mean_errors["orient_err"] == pytest.approx(8 / 9)
    assert scores.mean_errors["attr_err"] == pytest.approx(7 / 8)
    written = metrics(predictions)
    assert written["mean_ap"] == scores.mean_ap
    assert (written["split"], written["samples"], written["sensors"]) == ("val", 3, ["lidar"])
    assert written["class_errors"]["traffic_cone"]["vel_err"] is None
    loaded = DetectionScores.load(predictions.parent / "out" / "metrics.json")
    np.testing.assert_equal(figures(loaded), figures(scores))


def test_both_evaluators_equal_the_unmodified_devkit_on_real_boxes(
    minival: Path, minival_devkit: NuScenes, entries_from_annotations: Any,
    write_results: Any, tmp_path: Path,
) -> None:  # fmt: skip
    predictions = write_results(entries_from_annotations(minival_devkit, 0.7, 1))
    config = config_factory("detection_cvpr_2019")
    devkit = DetectionEval(
        minival_devkit, config, str(predictions), "mini_val", str(tmp_path / "devkit"), verbose=False
    )
    official = figures(DetectionScores.from_devkit(devkit.evaluate()[0], NUSCENES.classes))
    assert 0.1 < official[0] < 0.7
    ours = evaluate_detection(predictions, ScoredSplit(open_dataset(minival, "v1.0-mini"), "mini_val"), tmp_path)
    assert ours is not None
    np.testing.assert_array_equal(figures(ours), official)
    fast = fast_scores(predictions, minival, "v1.0-mini", "mini_val")
    np.testing.assert_allclose(figures(fast), official, rtol=0, atol=1e-9)


def test_the_boxes_that_count_are_the_devkits(
    minival: Path, minival_devkit: NuScenes, entries_from_annotations: Any, write_results: Any
) -> None:
    """Box by box: range, points, racks, velocity, attribute."""
    predictions = write_results(entries_from_annotations(minival_devkit))
    config = config_factory("detection_cvpr_2019")
    devkit = DetectionEval(minival_devkit, config, str(predictions), "mini_val", str(predictions.parent), verbose=False)
    truth = truth_of(minival, "v1.0-mini", "mini_val")
    names = NUSCENES.attribute_names()
    ours = {
        (truth.sample_tokens[sample], *np.round(centre, 6)): (NUSCENES.classes[kind], attribute, *velocity)
        for sample, centre, kind, attribute, velocity in zip(
            truth.boxes.sample, truth.boxes.translation, truth.boxes.class_index,
            [names[a] if a >= 0 else "" for a in truth.boxes.attribute], truth.boxes.velocity, strict=True,
        )
    }  # fmt: skip
    theirs = {
        (box.sample_token, *np.round(box.translation, 6)): (box.detection_name, box.attribute_name, *box.velocity)
        for box in devkit.gt_boxes.all
    }
    assert truth.annotations == len(minival_devkit.sample_annotation)
    assert len(truth.region.hiding_sample) > 0
    assert ours.keys() == theirs.keys()
    for key, (name, attribute, *velocity) in ours.items():
        assert (name, attribute) == theirs[key][:2]
        np.testing.assert_allclose(velocity, theirs[key][2:], atol=1e-12)


def test_cycles_in_a_rack_do_not_count_in_either_evaluator(tiny_dataset: Any, write_results: Any) -> None:
    """A bicycle and a pedestrian stand in a rack turned by an eighth, a motorcycle where it would be unturned."""
    place = {"velocity": [0.0, 0.0], "attribute": "", "points": 5}
    objects: list[dict[str, Any]] = [
        {**place, "category": "static_object.bicycle_rack", "xy": [10.0, 0.0], "size": [2.0, 8.0, 3.0],
         "rotation": [np.cos(np.pi / 8), 0.0, 0.0, np.sin(np.pi / 8)]},
        {**place, "category": "vehicle.bicycle", "xy": [12.4, 2.4], "size": [0.6, 1.7, 1.3]},
        {**place, "category": "human.pedestrian.adult", "xy": [10.0, 0.0], "size": [0.7, 0.7, 1.8]},
        {**place, "category": "vehicle.motorcycle", "xy": [13.5, 0.5], "size": [0.8, 2.1, 1.5]},
    ]  # fmt: skip
    root = tiny_dataset(objects, SPLITS)
    names = ("bicycle", "pedestrian", "motorcycle")
    results = {
        f"scene-b-{time}": [
            {**car_at(f"scene-b-{time}", 100.0 + thing["xy"][0], 0.5), "detection_name": name, "attribute_name": "",
             "translation": [100.0 + thing["xy"][0], 200.0 + thing["xy"][1], 1.0]}
            for name, thing in zip(names, objects[1:], strict=True)
        ]
        for time in range(3)
    }  # fmt: skip
    predictions = write_results(results)
    fast, official = fast_scores(predictions, root, SYNTH, "val"), official_scores(predictions, root, "val")
    assert [fast.class_ap[name] for name in names] == pytest.approx([0.0, 1.0, 1.0])
    np.testing.assert_allclose(figures(fast), figures(official), rtol=0, atol=1e-12)


def test_the_fast_evaluator_on_the_cases_that_are_easy_to_get_wrong(tiny_dataset: Any, write_results: Any) -> None:
    """A distance of exactly .5 m, two predictions for one car, equal scores, a car without points."""
    things = [{**CAR, "xy": [10.0, 0.0], "points": 3}, {**CAR, "xy": [10.5, 0.0], "points": 0}]
    root = tiny_dataset([*things, {**CAR, "xy": [14.0, 0.0], "points": 1}], SPLITS)
    results: dict[str, list[dict[str, Any]]] = {f"scene-b-{time}": [] for time in range(3)}
    for token, xs in zip(results, ([110.5, 109.9], [110.0, 112.0], [113.0, 111.0]), strict=True):
        results[token] = [car_at(token, x, 0.5) for x in xs]
    predictions = write_results(results)
    fast, official = fast_scores(predictions, root, SYNTH, "val"), official_scores(predictions, root, "val")
    np.testing.assert_allclose(figures(fast), figures(official), rtol=0, atol=1e-12)


@pytest.mark.parametrize("objects", [everything(), everything(points=0)], ids=["boxes", "boxes without points"])
def test_no_detections_score_nothing_in_either_evaluator(
    objects: list[dict[str, Any]], tiny_dataset: Any, write_results: Any
) -> None:
    root = tiny_dataset(objects, SPLITS)
    predictions = write_results({f"scene-b-{time}": [] for time in range(3)})
    fast, official = fast_scores(predictions, root, SYNTH, "val"), official_scores(predictions, root, "val")
    assert (fast.mean_ap, fast.nd_score) == (0.0, 0.0)
    np.testing.assert_equal(figures(fast), figures(official))


def test_bad_input_is_one_clear_line(tiny_dataset: Any, write_results: Any, tmp_path: Path) -> None:
    root, predictions = hand_computed(tiny_dataset, write_results)
    with pytest.raises(UserError, match="no such file"):
        evaluated(tmp_path / "absent.json", root, "val")
    with pytest.raises(UserError, match=r"split 'test' does not exist in .*v1\.0-synth; splits there: train, val"):
        evaluated(predictions, root, "test")
    with pytest.raises(UserError, match="lacks 3 samples of the split and lists 3 that it does not have"):
        evaluated(predictions, root, "train")
    content = json.loads(predictions.read_text())
    content["results"]["scene-b-0"] *= 200
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_text(json.dumps(content))
    with pytest.raises(UserError, match="sample scene-b-0 has more than 500 boxes"):
        evaluated(spoiled, root, "val")
    spoiled.write_text('{"results": {}')
    with pytest.raises(UserError, match=r"spoiled.json: not a nuScenes detection result"):
        evaluated(spoiled, root, "val")
    assert not (tmp_path / "out").exists()
