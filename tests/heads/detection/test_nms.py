import torch

from avjepa.heads.detection.nms import circle_nms


def kept(centres: list[list[float]], scores: list[float], radius: float, at_most: int = 100) -> list[int]:
    return circle_nms(
        torch.tensor(centres, dtype=torch.float32).reshape(-1, 2), torch.tensor(scores), radius, at_most
    ).tolist()


def test_a_suppressed_box_suppresses_nothing() -> None:
    # 0 removes 1; 2 is near 1 only, so it stays
    assert kept([[0, 0], [1.5, 0], [3, 0]], [0.9, 0.8, 0.7], radius=2.0) == [0, 2]


def test_the_radius_is_a_distance_and_not_its_square() -> None:
    assert kept([[0, 0], [3, 0]], [0.9, 0.8], radius=4.0) == [0]
    assert kept([[0, 0], [3, 0]], [0.9, 0.8], radius=2.0) == [0, 1]


def test_best_first_and_no_more_than_asked_for() -> None:
    far_apart = [[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [30.0, 0.0]]
    assert kept(far_apart, [0.1, 0.4, 0.3, 0.2], radius=1.0, at_most=3) == [1, 2, 3]


def test_of_equal_scores_the_earlier_box_stays() -> None:
    assert kept([[0, 0], [0.5, 0], [0, 0.5]], [0.5, 0.5, 0.5], radius=1.0) == [0]


def test_no_boxes() -> None:
    assert kept([], [], radius=1.0) == []


def test_exactly_on_the_radius_is_suppressed() -> None:
    assert kept([[0, 0], [2, 0]], [0.9, 0.8], radius=2.0) == [0]
