"""Figures of a release by class and by slice."""

from pathlib import Path

import numpy as np
import pytest

from avjepa.evaluate.comparing.changes import changes
from avjepa.evaluate.comparing.detection import BY_BOXES, MEAN, DetectionMeasure, DetectionScenes
from avjepa.evaluate.comparing.measure import resampled
from avjepa.evaluate.detection.fast import FastDetectionEval
from avjepa.evaluate.detection.result_file import ResultFile
from tests.evaluate.comparing.handmade import CARS_AND_CONES, Thing, annotated, detected, random_things


def scenes_of(
    truth: list[Thing], keyframes: tuple[int, ...], descriptions: dict[str, str] | None = None
) -> DetectionScenes:
    return DetectionScenes.of(annotated(truth, keyframes), CARS_AND_CONES, descriptions or {})


def measured(scenes: DetectionScenes, things: list[Thing], fewest: int = 1) -> DetectionMeasure:
    return DetectionMeasure(scenes, scenes.matched(detected(things)), fewest)


def values(measure: DetectionMeasure) -> dict[str, float]:
    return {item.label: float(value) for item, value in zip(measure.items, measure.values, strict=True)}


def test_map_and_classes_are_those_of_the_evaluator() -> None:
    truth, found = random_things(1, scenes=8)
    scenes = scenes_of(truth, (2,) * 8)
    own = values(measured(scenes, found))
    file = ResultFile(Path("by hand"), scenes.truth.sample_tokens, detected(found), ())
    scores = FastDetectionEval(scenes.truth, CARS_AND_CONES).evaluate(file)
    assert own[MEAN] == scores.mean_ap
    assert {name: own[f"class {name}"] for name in scores.class_ap} == scores.class_ap
    boxes = np.bincount(scenes.truth.boxes.class_index)
    assert own[BY_BOXES] == pytest.approx(boxes @ list(scores.class_ap.values()) / boxes.sum())


def test_all_weights_one_give_the_values_themselves() -> None:
    truth, found = random_things(1, scenes=8)
    measure = measured(scenes_of(truth, (2,) * 8), found)
    assert measure.weighted(np.ones((1, 8), np.float32))[0] == pytest.approx(measure.values, abs=1e-12)


def test_slices_by_what_predictions_have_too() -> None:
    """Two cars near, one far; the far one is found first, then a false one is far, a near one is found, a false near.

    Near: hit, false, with one of two boxes: precision 1 up to a recall of 1/2; AP (0.11 to 0.50: 40 of 90 recalls).
    Far: hit, false, with the one box: precision 1 before the recall of 1, and at it that after the false one: 1/2.
    """
    truth = [Thing(0, 5.0), Thing(0, 15.0), Thing(0, 45.0)]
    found = [Thing(0, 45.0, score=0.9), Thing(0, 48.0, score=0.8), Thing(0, 5.0, score=0.7), Thing(0, -10.0, score=0.6)]
    own = values(measured(scenes_of(truth, (1,)), found))
    # at a recall of exactly 1/2 precision is what it is after the false one: 1/2
    assert own["distance <20 m"] == pytest.approx((39 * 0.9 + 0.4) / 90 / 0.9)
    assert own["distance >=40 m"] == pytest.approx((89 * 0.9 + 0.4) / 90 / 0.9)
    assert "distance 20-30 m" not in own  # nothing is annotated there


def test_slices_by_what_annotated_boxes_alone_have() -> None:
    """A car that was found with level 4 counts neither for nor against level 1; a false one counts against both."""
    truth = [Thing(0, 5.0, visibility=1), Thing(0, 15.0, visibility=4)]
    found = [Thing(0, 15.0, score=0.9), Thing(0, -10.0, score=0.8), Thing(0, 5.0, score=0.7)]
    own = values(measured(scenes_of(truth, (1,)), found))
    # level 1: false, hit: precision rises from 0 to 1/2 over the recalls, and is clipped at 0.1
    rising = np.clip(np.arange(11, 101) / 100 / 2 - 0.1, 0, None)
    assert own["visibility 0-40 %"] == pytest.approx(rising.sum() / 90 / 0.9)
    assert own["visibility 80-100 %"] == pytest.approx((89 * 0.9 + 0.4) / 90 / 0.9)


def test_things_that_stand_have_no_speed_and_night_is_what_the_description_says() -> None:
    truth = [Thing(0, 5.0, speed=8.0), Thing(1, 5.0, kind=1)]
    scenes = scenes_of(truth, (1, 1), {"scene 0": "Night, rain", "scene 1": "Parked bus"})
    items = {item.label: item.objects for item in measured(scenes, []).items}
    assert {label: count for label, count in items.items() if label.startswith(("speed", "light"))} == {
        "speed >=5 m/s": 1, "light day": 1, "light night or dusk": 1,
    }  # fmt: skip


def test_draws_depend_on_the_seed_alone() -> None:
    truth, found = random_things(1, scenes=6)
    measure = measured(scenes_of(truth, (2,) * 6), found)
    assert np.array_equal(resampled(measure, 50, 0), resampled(measure, 50, 0), equal_nan=True)
    assert not np.array_equal(resampled(measure, 50, 0), resampled(measure, 50, 1), equal_nan=True)


def test_two_equal_releases_have_changed_by_nothing_in_every_draw() -> None:
    truth, found = random_things(1, scenes=6)
    scenes = scenes_of(truth, (2,) * 6)
    for change in changes(measured(scenes, found), measured(scenes, found), 50, 0):
        assert change.value == 0 and not np.nan_to_num(change.draws).any()


def test_the_bootstrap_is_as_wide_as_other_worlds_differ() -> None:
    """The standard error of a hit rate over scenes of one car each is that of a binomial distribution."""
    truth = [Thing(scene, 5.0) for scene in range(100)]
    scenes = scenes_of(truth, (1,) * 100)
    found = [Thing(scene, 5.0, score=0.9) for scene in range(60)]
    draws = resampled(measured(scenes, found), 500, 0)[:, 2]  # class car: precision 1 up to the recall
    assert draws.std() == pytest.approx(np.sqrt(0.6 * 0.4 / 100) / 0.9, rel=0.1)
