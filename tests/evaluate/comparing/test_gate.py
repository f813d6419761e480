"""A gate stops what surely got worse, and says where."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avjepa.errors import UserError
from avjepa.evaluate.comparing.changes import Change, changes
from avjepa.evaluate.comparing.gate import PACKAGED, judged, load_gate
from avjepa.evaluate.comparing.measure import Item
from tests.evaluate.comparing.handmade import Thing, random_things
from tests.evaluate.comparing.test_detection import measured, scenes_of

GATE = replace(load_gate(PACKAGED), draws=300, fewest_objects=20)


def failing(old: list[Thing], new: list[Thing], truth: list[Thing], scenes: int) -> list[str]:
    split = scenes_of(truth, (2,) * scenes)
    pair = (measured(split, things, GATE.fewest_objects) for things in (old, new))
    return [one.change.item.label for one in judged(changes(*pair, GATE.draws, GATE.seed), GATE) if one.fails]


def test_another_seed_passes_and_a_planted_loss_is_found_where_it_is() -> None:
    truth, old = random_things(1, scenes=12)
    _, new = random_things(2, scenes=12)
    assert not failing(old, new, truth, 12)
    blind_far = [thing for thing in new if thing.kind or abs(thing.x) < 40]
    found = failing(old, blind_far, truth, 12)
    assert "class car" in found and "distance >=40 m" in found
    assert "class cone" not in found and "distance <20 m" not in found


def test_figures_on_few_boxes_or_scenes_are_not_judged() -> None:
    draws = np.full(300, -0.5)
    few = Change(Item("class", "bus", 19, 9), 0.5, 0.0, draws)
    narrow = Change(Item("class", "car", 200, 3), 0.5, 0.0, draws)
    enough = Change(Item("class", "cone", 200, 9), 0.5, 0.0, draws)
    judgements = judged([few, narrow, enough], GATE)
    assert [one.fails for one in judgements] == [False, False, True]
    assert [one.reason for one in judgements] == ["under 20 objects", "under 5 scenes", ""]


def test_noise_in_many_figures_at_once_rarely_stops_a_release() -> None:
    """20 figures of 30 scenes that change by chance alone, with a margin of 0: one alarm in 20 is permitted."""
    gate = replace(GATE, most_loss=dict.fromkeys(GATE.most_loss, 0.0))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(30, np.full(30, 1 / 30), 200) / 30
    alarms = 0
    for _ in range(100):
        of_scene = rng.normal(size=(30, 20))
        draws = drawn @ of_scene
        by_item = [
            Change(Item("class", str(number), 100, 30), 0.0, float(of_scene[:, number].mean()), draws[:, number])
            for number in range(20)
        ]
        alarms += any(one.fails for one in judged(by_item, gate))
    assert alarms <= 11  # at 95 % for each figure alone they would be about 64


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("confidence: 0.95", "confidence: 1.5", "confidence: must be"),
        ("  class: 0.05", "  class: four", "most_loss: class: must be a number"),
        ("  class: 0.05", "  klass: 0.05", "lacks 'class'"),
        ("draws: 1000", "draws: 100", "too few"),
        ("fewest_scenes: 5", "fewest_scenes: 1.5", "must be a whole number"),
        ("seed: 0", "sead: 0", "lacks 'seed'"),
    ],
)
def test_a_wrong_gate_is_one_line_that_names_the_key(tmp_path: Path, before: str, after: str, said: str) -> None:
    path = tmp_path / "gate.yaml"
    text = PACKAGED.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(UserError, match=said):
        load_gate(path)
