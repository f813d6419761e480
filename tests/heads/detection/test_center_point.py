import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from avjepa.data.labels import Labels
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import ClassGroup, load_taxonomy
from avjepa.errors import UserError
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.detection.center_point import CenterPointHead, CenterPointOptions
from avjepa.heads.detection.towers import Places, TowerMaps

NUSCENES = load_taxonomy("nuscenes")
CLASSES = NUSCENES.classes
GRID = BEVGrid(x_min=-20.0, x_max=40.0, y_min=-10.0, y_max=20.0, cell=1.0)  # 30 rows, 60 columns


def make_labels(boxes: Tensor, class_index: Tensor, points: int = 5) -> Labels:
    n = len(boxes)
    counts = torch.full((n,), points)
    zeros = torch.zeros(n, dtype=torch.int64)
    return Labels(boxes, class_index, counts, zeros, zeros, torch.arange(n))


def make_batch(*labels: Labels, bev_from_level: Tensor | None = None) -> Batch:
    n = len(labels)
    return Batch(
        tokens=tuple(f"token{i}" for i in range(n)),
        scenes=("scene",) * n,
        seeds=torch.arange(n),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(n, 1, 1),
        bev_from_level=torch.eye(4).repeat(n, 1, 1) if bev_from_level is None else bev_from_level,
        labels=labels,
    )


def objects_apart(seed: int) -> Labels:
    """One object of every class, farther apart than any suppression radius."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(len(CLASSES), 9, generator=generator)
    x = -18.0 + 11.0 * (torch.arange(10) % 5) + 3 * draw[:, 0]
    y = -9.0 + 12.0 * (torch.arange(10) // 5) + 3 * draw[:, 1]
    columns = (x, y, 3 * draw[:, 2] - 1, 0.3 + 12 * draw[:, 3], 0.3 + 3 * draw[:, 4], 0.5 + 3 * draw[:, 5])
    yaw, velocity = (draw[:, 6] - 0.5) * 2 * math.pi, 20 * draw[:, 7:9] - 10
    return make_labels(torch.cat((torch.stack((*columns, yaw), dim=-1), velocity), dim=-1), torch.arange(10))


def answering(head: CenterPointHead, labels: tuple[Labels, ...]) -> None:
    """Make the head answer exactly its targets."""
    heatmaps, codes = [], []
    for target in head.targets(labels):
        code = torch.zeros(len(labels), 10, *head.grid.shape)
        code[target.sample, :, target.row_column[:, 0], target.row_column[:, 1]] = target.code
        heatmaps.append(target.heatmap.clamp(1e-5, 1 - 1e-5).logit())
        codes.append(code)
    head.forward = lambda bev: GivenMaps(heatmaps, codes)  # type: ignore[method-assign]


class GivenMaps(TowerMaps):
    """Answers of towers, known for every cell."""

    def __init__(self, heatmaps: list[Tensor], codes: list[Tensor]) -> None:
        self.given, self.code_maps = heatmaps, codes

    def heatmaps(self) -> list[Tensor]:
        return self.given

    def codes(self, places: Sequence[Places], groups: Sequence[int]) -> list[Tensor]:
        return [
            self.code_maps[group][place.sample, :, place.row_column[:, 0], place.row_column[:, 1]]
            for place, group in zip(places, groups, strict=True)
        ]


@pytest.mark.parametrize("upsample", [1, 2])
def test_decoding_the_targets_gives_the_boxes_back(upsample: int) -> None:
    head = CenterPointOptions(upsample=upsample, score_threshold=0.9).build(4, GRID, NUSCENES)
    labels = (objects_apart(0), objects_apart(1))
    answering(head, labels)
    found = head.predict(torch.zeros(2, 4, *GRID.shape), make_batch(*labels))
    for one, detections in zip(labels, found, strict=True):
        order = detections.class_index.argsort()
        assert detections.class_index[order].tolist() == list(range(10))
        boxes = detections.boxes[order]
        assert (boxes[:, :2] - one.boxes[:, :2]).abs().max() < GRID.cell / 100
        turned = torch.remainder(boxes[:, 6] - one.boxes[:, 6] + math.pi, 2 * math.pi) - math.pi
        assert turned.abs().max() < 1e-5
        torch.testing.assert_close(boxes[:, 2:6], one.boxes[:, 2:6], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(boxes[:, 7:], one.boxes[:, 7:])
        assert (detections.scores > 0.99).all() and (detections.scores.diff() <= 0).all()


def test_augmentation_is_undone() -> None:
    # a flip of y, a turn of 30 degrees, a scale of 1.05
    turn = torch.tensor([[math.cos(0.5), -math.sin(0.5), 0], [math.sin(0.5), math.cos(0.5), 0], [0, 0, 1]])
    bev_from_level = torch.eye(4)
    bev_from_level[:3, :3] = 1.05 * turn @ torch.diag(torch.tensor([1.0, -1.0, 1.0]))
    level = objects_apart(0)
    in_bev = make_labels(transform_boxes(bev_from_level, level.boxes), level.class_index)
    head = CenterPointOptions(score_threshold=0.9).build(4, BEVGrid(-60.0, 60.0, -50.0, 50.0, 1.0), NUSCENES)
    answering(head, (in_bev,))
    (found,) = head.predict(torch.zeros(1, 4, 100, 120), make_batch(in_bev, bev_from_level=bev_from_level[None]))
    order = found.class_index.argsort()
    without_yaw = [0, 1, 2, 3, 4, 5, 7, 8]
    torch.testing.assert_close(found.boxes[order][:, without_yaw], level.boxes[:, without_yaw], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.boxes[order][:, 6].cos(), level.boxes[:, 6].cos(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.boxes[order][:, 6].sin(), level.boxes[:, 6].sin(), rtol=1e-4, atol=1e-4)


def test_the_peak_of_an_object_is_on_its_class_and_its_cell() -> None:
    head = CenterPointOptions().build(4, GRID, NUSCENES)
    bicycle = torch.tensor([[30.2, -7.6, 0.0, 1.7, 0.6, 1.2, 0.0, 0.0, 0.0]])
    labels = make_labels(bicycle, torch.tensor([CLASSES.index("bicycle")]))
    for group, target in zip(head.groups, head.targets((labels,)), strict=True):
        peaks = (target.heatmap == 1).nonzero().tolist()
        # x 30.2 is column 50 of 60, y -7.6 is row 2 of 30
        assert peaks == ([[0, 1, 2, 50]] if group.classes == ("motorcycle", "bicycle") else [])


def test_what_is_not_taught() -> None:
    box = torch.tensor([[5.0, 5.0, 0.0, 4.0, 2.0, 1.5, 0.0, 0.0, 0.0]])
    outside = box.clone()
    outside[:, 0] = 40.0
    car = torch.tensor([0])
    head = CenterPointOptions().build(4, GRID, NUSCENES)
    for labels in (make_labels(box, car, points=0), make_labels(outside, car)):
        assert all(len(target.code) == 0 and target.heatmap.max() == 0 for target in head.targets((labels,)))


def test_loss_of_the_right_answer_is_almost_nothing_and_of_a_wrong_one_is_as_computed_by_hand() -> None:
    head = CenterPointOptions().build(4, GRID, replace(NUSCENES, groups=(ClassGroup(("car",), 2.0),)))
    one = torch.tensor([[5.5, 5.5, 1.0, math.e, 1.0, 1.0, 0.0, 3.0, 4.0]])
    unknown = torch.tensor([[15.5, 5.5, 0.0, 1.0, 1.0, 1.0, 0.0, math.nan, math.nan]])
    labels = (make_labels(torch.cat((one, unknown)), torch.tensor([0, 0])),)
    batch, bev = make_batch(*labels), torch.zeros(1, 4, *GRID.shape)
    answering(head, labels)
    right = head.loss(bev, batch)
    assert right["offset"] == right["height"] == right["size"] == right["rotation"] == 0

    silent = GivenMaps([torch.full((1, 1, *GRID.shape), -100.0)], [torch.zeros(1, 10, *GRID.shape)])
    head.forward = lambda bev: silent  # type: ignore[method-assign]
    wrong = {name: value.item() for name, value in head.loss(bev, batch).items()}
    # two peaks, each -log p = 100; two boxes: |height| 1 and 0, |log size| 1 and 0, |cos| 1 and 1; one known velocity
    expected = {
        "heatmap": 100.0, "offset": 0.0, "height": 0.25 * 0.5, "size": 0.25 * 0.5, "rotation": 0.25,
        "velocity": 0.25 * 0.2 * (3 + 4),
    }  # fmt: skip
    assert wrong == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("boxes", [0, 3])
def test_gradients_are_finite_with_and_without_boxes_and_with_unknown_velocity(boxes: int) -> None:
    torch.manual_seed(0)
    head = CenterPointOptions(upsample=2, shared_channels=8, channels=8).build(4, GRID, NUSCENES)
    labels = make_labels(objects_apart(0).boxes[:boxes], torch.arange(boxes))
    labels.boxes[:, 7:] = math.nan
    bev = torch.randn(2, 4, *GRID.shape, requires_grad=True)
    total = torch.stack(
        list(head.loss(bev, make_batch(labels, make_labels(torch.zeros(0, 9), torch.arange(0)))).values())
    )
    assert torch.isfinite(total).all()
    total.sum().backward()
    assert bev.grad is not None and torch.isfinite(bev.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in head.parameters())


def test_a_new_head_believes_in_an_object_at_one_cell_in_ten() -> None:
    head = CenterPointOptions(shared_channels=8, channels=8).build(4, GRID, NUSCENES).eval()
    for heatmap in head(torch.zeros(1, 4, *GRID.shape)).heatmaps():
        assert heatmap.sigmoid().mean().item() == pytest.approx(0.1, abs=0.02)


def test_no_more_than_500_boxes_of_an_untrained_head() -> None:
    torch.manual_seed(0)
    head = CenterPointOptions(score_threshold=0.0, boxes_per_group=500).build(4, GRID, NUSCENES)
    (found,) = head.predict(torch.randn(1, 4, *GRID.shape), make_batch(objects_apart(0)))
    assert len(found) == 500
    assert torch.isfinite(found.boxes).all()


def test_autocast_gives_float32_answers() -> None:
    head = CenterPointOptions(shared_channels=8, channels=8).build(4, GRID, NUSCENES)
    with torch.autocast("cpu", torch.bfloat16):
        terms = head.loss(torch.randn(1, 4, *GRID.shape), make_batch(objects_apart(0)))
    assert all(value.dtype == torch.float32 and torch.isfinite(value) for value in terms.values())


def test_the_groups_cover_the_ten_classes_in_the_devkits_order() -> None:
    assert tuple(name for group in NUSCENES.groups for name in group.classes) == CLASSES


def test_errors_name_the_option() -> None:
    with pytest.raises(UserError, match=r"got a map.*\(4, 60, 30\), was made for \(4, 30, 60\)"):
        CenterPointOptions().build(4, GRID, NUSCENES)(torch.zeros(1, 4, 60, 30))
