"""The loss by hand, and what it leaves alone."""

import math

import pytest
import torch

from avjepa.heads.reidentification.loss import ClipObjects, association_loss, hard_pairs

TAU, NEW = 0.25, torch.tensor(1.5)


def objects(*rows: tuple[int, int, int], points: list[int] | None = None, x: list[float] | None = None) -> ClipObjects:
    """By sample, class and track."""
    sample, class_index, track = torch.tensor(rows, dtype=torch.int64).view(-1, 3).unbind(1)
    count = len(rows)
    position = torch.zeros(count, 2)
    position[:, 0] = torch.tensor(x or [0.0] * count)
    return ClipObjects(sample, class_index, track, torch.tensor(points or [5] * count, dtype=torch.int64), position)


def unit(*angles: float) -> torch.Tensor:
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles])


def of_clip(samples: int) -> torch.Tensor:
    return ~torch.eye(samples, dtype=torch.bool)


def test_it_is_the_cross_entropy_of_the_formula() -> None:
    # sample 0: cars 1 and 2; sample 1: cars 1 and 3, a bus
    them = objects((0, 0, 1), (0, 0, 2), (1, 0, 1), (1, 0, 3), (1, 7, 9))
    angles = (0.1, 0.9, 0.3, 1.4, 2.0)
    terms = association_loss(unit(*angles), them, of_clip(2), TAU, NEW, torch.zeros(5, 5, dtype=torch.bool), 1.0)

    def logit(i: int, k: int) -> float:
        return 4.0 * math.cos(angles[i] - angles[k])

    def loss(i: int, others: tuple[int, int], right: int | None) -> float:
        denominator = math.log(sum(math.exp(logit(i, k)) for k in others) + math.exp(1.5))
        return denominator - (1.5 if right is None else logit(i, right))

    # each sample has two asked objects; nobody in sample 0 is of the bus's class, so it is not asked
    found = (loss(0, (2, 3), 2) / 2 + loss(2, (0, 1), 0) / 2) / 2
    new = (loss(1, (2, 3), None) / 2 + loss(3, (0, 1), None) / 2) / 2
    assert float(terms["found"]) == pytest.approx(found, rel=1e-5)
    assert float(terms["new"]) == pytest.approx(new, rel=1e-5)


def test_a_hard_negative_counts_as_often_as_its_weight_says_and_the_object_itself_once() -> None:
    them = objects((0, 0, 1), (1, 0, 1), (1, 0, 2))
    one = association_loss(unit(0.0, 0.2, 0.5), them, of_clip(2), TAU, NEW, torch.ones(3, 3, dtype=torch.bool), 3.0)
    right, wrong = 4.0 * math.cos(0.2), 4.0 * math.cos(0.5)
    first = math.log(math.exp(right) + 3 * math.exp(wrong) + math.exp(1.5)) - right
    back = math.log(math.exp(right) + math.exp(1.5)) - right
    assert float(one["found"]) == pytest.approx((first + back / 2) / 2, rel=1e-5)  # sample 1 has two pairs


def test_keyframes_of_other_scenes_and_other_classes_change_nothing() -> None:
    them = objects((0, 0, 1), (1, 0, 1), (2, 0, 4))
    comparable = torch.zeros(3, 3, dtype=torch.bool)
    comparable[0, 1] = comparable[1, 0] = True
    none = torch.zeros(3, 3, dtype=torch.bool)
    joint = association_loss(unit(0.0, 0.2, 0.1), them, comparable, TAU, NEW, none, 1.0)
    alone = association_loss(unit(0.0, 0.2), objects((0, 0, 1), (1, 0, 1)), of_clip(2), TAU, NEW, none[:2, :2], 1.0)
    assert float(joint["found"]) == pytest.approx(float(alone["found"]) * 2 / 3, rel=1e-6)
    assert float(joint["new"]) == 0.0


def test_nothing_to_compare_gives_a_loss_and_gradients_of_nought() -> None:
    for them in (objects(), objects((0, 0, 1), (0, 0, 2))):
        embeddings = unit(*[0.3] * len(them.sample)).view(-1, 2).requires_grad_()
        none = torch.zeros(len(them.sample), len(them.sample), dtype=torch.bool)
        total = torch.stack(list(association_loss(embeddings, them, of_clip(2), TAU, NEW, none, 1.0).values())).sum()
        total.backward()
        assert total.item() == 0.0 and embeddings.grad is not None and not embeddings.grad.any()


def test_hard_pairs_are_near_and_have_about_as_many_points() -> None:
    them = objects((0, 0, 1), (0, 0, 2), (0, 0, 3), points=[10, 20, 21], x=[0.0, 5.0, 30.0])
    expected = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert torch.equal(hard_pairs(them, 5.0), expected)
    assert hard_pairs(them, 100.0).tolist() == [[True, True, False], [True, True, True], [False, True, True]]
