"""Keyframes drawn so that every class of the chosen scenes comes up equally often."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avjepa.data.datasets import open_dataset
from avjepa.data.sampling.class_balance import ClassBalancedOrder, items_by_class
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError

from ..conftest import VERSION
from ..loading.test_datamodule import detection, same

CLASSES = load_taxonomy("nuscenes").classes

RARE, COMMON = np.array([4]), np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])


def order(batch_size: int = 4, seed: int = 0, rank: int = 0, world_size: int = 1) -> ClassBalancedOrder:
    return ClassBalancedOrder((RARE, COMMON, np.array([2, 3, 9])), 12, batch_size, seed, rank, world_size)


def indices(order: ClassBalancedOrder, batches: int) -> list[int]:
    return [draw.index for number in range(batches) for draw in order.batch(number)]


def test_every_class_is_drawn_equally_often_and_its_keyframes_too() -> None:
    drawn = Counter(indices(order(batch_size=3), 300))  # 300 draws of each of three classes
    # hand-computed: keyframe 4 is the rare class's only one and one of ten of the common class
    expected = {i: 30.0 for i in range(10)}
    expected[4] += 300
    for item in (2, 3, 9):
        expected[item] += 100
    assert drawn == expected
    assert 10 not in drawn and 11 not in drawn, "keyframes without any object"


def test_a_rare_class_is_in_every_round() -> None:
    drawn = indices(order(batch_size=3), 40)
    assert all(4 in drawn[first : first + 3] for first in range(0, len(drawn), 3))


@given(batch_size=st.integers(1, 4), world_size=st.integers(1, 4), number=st.integers(0, 40))
def test_processes_together_draw_what_one_would(batch_size: int, world_size: int, number: int) -> None:
    one = order(batch_size * world_size, seed=3).batch(number)
    many = [order(batch_size, 3, rank, world_size).batch(number) for rank in range(world_size)]
    assert [draw for part in many for draw in part] == one


def test_a_batch_does_not_depend_on_what_was_drawn_before_and_seeds_differ() -> None:
    used = order()
    late = used.batch(57)
    for number in range(20):
        used.batch(number)
    assert order().batch(57) == used.batch(57) == late
    assert indices(order(), 10) != indices(order(seed=1), 10)
    assert len({draw.seed for number in range(50) for draw in order().batch(number)}) == 200


def with_boxes(root: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Path:
    table = root / VERSION / "sample_annotation.json"
    rows = [change(row) for row in json.loads(table.read_text())]
    kept = [row for row in rows if row is not None]
    tokens = {row["token"] for row in kept}
    for row in kept:
        for link in ("prev", "next"):
            row[link] = row[link] if row[link] in tokens else ""
    table.write_text(json.dumps(kept))
    return root


def test_the_classes_are_those_of_the_chosen_keyframes_with_points_on_them(copy: Path) -> None:
    # the tiny world: a car with 0 to 3 points but 0 radar points, a pedestrian hidden in keyframe 2, a barrier in it
    dataset = open_dataset(copy, VERSION)
    names = [name for name in CLASSES if name in ("car", "pedestrian", "barrier")]
    found = items_by_class(dataset.boxes(dataset.moments(["scene-0000"], keyframes_only=True)))
    expected = {"car": [1, 2, 3], "pedestrian": [0, 1, 3], "barrier": [2]}
    assert [items.tolist() for items in found] == [expected[name] for name in names]


def test_classes_of_other_scenes_do_not_count(copy: Path) -> None:
    def no_barrier_in_the_first_scene(row: dict[str, Any]) -> dict[str, Any] | None:
        return None if row["token"].startswith("box-0-2-") else row

    with_boxes(copy, no_barrier_in_the_first_scene)
    module = detection(copy, train_split="train", class_balanced=True, batch_size=2, steps=30)
    tokens = Counter(token for batch in module.train_dataloader() for token in batch.tokens)
    # the first scene's boxes alone: car in 1, 2, 3 and pedestrian in 0, 1, 3; the barrier of the other one would draw 2
    assert tokens == {"sample-0-0": 10, "sample-0-1": 20, "sample-0-2": 10, "sample-0-3": 20}


def test_going_on_after_an_interruption(tiny: Path) -> None:
    options: dict[str, Any] = {"steps": 7, "batch_size": 2, "class_balanced": True}
    whole = list(detection(tiny, **options).train_dataloader())
    interrupted = detection(tiny, **options)
    head = list(itertools.islice(interrupted.train_dataloader(), 3))
    resumed = detection(tiny, **options, workers=1)
    resumed.load_state_dict(interrupted.state_dict())
    assert all(same(a, b) for a, b in zip(whole, [*head, *resumed.train_dataloader()], strict=True))


def test_a_subset_without_objects_is_refused(copy: Path) -> None:
    with_boxes(copy, lambda row: row | {"num_lidar_pts": 0, "num_radar_pts": 0})
    with pytest.raises(UserError, match="no LiDAR or radar point lies in any box"):
        detection(copy, class_balanced=True).train_dataloader()


def test_every_keyframe_once_is_what_evaluation_sees_all_the_same(tiny: Path) -> None:
    module = detection(tiny, class_balanced=True, validation_split="val")
    assert [token for batch in module.val_dataloader() for token in batch.tokens] == [f"sample-1-{k}" for k in range(4)]
