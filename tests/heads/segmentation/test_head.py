"""BEV segmentation as a head: what it is taught, its loss by hand, and that it learns."""

import math
from dataclasses import replace

import pytest
import torch

from avjepa.data.labels import Labels
from avjepa.data.map_mask import UNKNOWN
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.segmentation import SegmentationHead, SegmentationOptions, SegmentedClasses
from avjepa.heads.segmentation.loss import segmentation_loss
from avjepa.heads.segmentation.targets import segmentation_targets

NUSCENES = load_taxonomy("nuscenes")
GRID = BEVGrid(0.0, 8.0, -4.0, 4.0, 1.0)
CAR, PEDESTRIAN = NUSCENES.classes.index("car"), NUSCENES.classes.index("pedestrian")
CPU = torch.device("cpu")


def labels(*rows: tuple[float, float, int, int]) -> Labels:
    """Boxes of 2 m by 2 m by x, y, class and visibility."""
    boxes = torch.tensor([[x, y, 0.5, 2.0, 2.0, 1.5, 0.0, 0.0, 0.0] for x, y, _, _ in rows]).view(-1, 9)
    index = torch.tensor([index for _, _, index, _ in rows], dtype=torch.int64)
    seen = torch.tensor([visibility for *_, visibility in rows], dtype=torch.int64)
    return Labels(boxes, index, index + 9, index, seen, torch.arange(len(rows)))


def batch_of(*samples: Labels, drivable: torch.Tensor | None = None, grid: BEVGrid = GRID) -> Batch:
    pose = torch.eye(4).repeat(len(samples), 1, 1)
    maps = {} if drivable is None else {grid: drivable}
    names = tuple(map(str, range(len(samples))))
    return Batch(names, names, torch.arange(len(samples)), pose.double(), pose, labels=samples, drivable=maps)


def test_vehicles_are_footprints_of_their_classes_and_hidden_ones_are_not_judged() -> None:
    classes = SegmentedClasses(drivable_area=False, minimum_visibility=2)
    sample = labels((2.0, 0.0, CAR, 4), (6.0, 0.0, CAR, 1), (3.0, 3.0, PEDESTRIAN, 4), (2.0, -3.0, CAR, 0))
    targets = segmentation_targets(classes, NUSCENES.classes, GRID, (sample, labels()), None, CPU)
    expected, hidden = torch.zeros(8, 8, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)
    expected[3:5, 1:3] = True  # x from 1 to 3, y from -1 to 1
    expected[0:2, 1:3] = True  # nobody says how visible it is, so it counts
    hidden[3:5, 5:7] = True
    assert torch.equal(targets.present[0, 0], expected) and torch.equal(targets.known[0, 0], ~hidden)
    assert not targets.present[1].any() and targets.known[1].all()


def test_the_map_is_a_class_of_its_own_and_unknown_ground_is_not_judged() -> None:
    drivable = torch.zeros(1, 8, 8, dtype=torch.uint8)
    drivable[0, 2:5], drivable[0, 7] = 1, UNKNOWN
    targets = segmentation_targets(SegmentedClasses(), NUSCENES.classes, GRID, (labels((2, 0, CAR, 1)),), drivable, CPU)
    assert targets.present.shape == (1, 2, 8, 8)
    assert torch.equal(targets.present[0, 0], drivable[0] == 1) and targets.present[0, 1].sum() == 4
    assert not targets.known[0, 0, 7].any() and targets.known[0, 0, :7].all() and targets.known[0, 1].all()


@pytest.mark.parametrize(("weight", "gamma"), [(1.0, 0.0), (2.13, 0.0), (2.13, 2.0)])
def test_the_loss_is_that_of_the_formula(weight: float, gamma: float) -> None:
    logits = torch.tensor([[[[2.0, -1.0, 9.0]]], [[[0.5, 0.0, -3.0]]]])
    present = torch.tensor([[[[True, False, False]]], [[[False, True, True]]]])
    known = torch.tensor([[[[True, True, False]]], [[[True, True, True]]]])

    def cell(logit: float, is_of_class: bool) -> float:
        right = 1 / (1 + math.exp(-logit if is_of_class else logit))
        return (weight if is_of_class else 1.0) * (1 - right) ** gamma * -math.log(right)

    first = (cell(2.0, True) + cell(-1.0, False)) / 2
    second = (cell(0.5, False) + cell(0.0, True) + cell(-3.0, True)) / 3
    (loss,) = segmentation_loss(logits, present, known, weight, gamma)
    assert float(loss) == pytest.approx((first + second) / 2, rel=1e-5)


def test_a_sample_of_which_nothing_is_known_has_no_gradient() -> None:
    logits = torch.randn(1, 1, 2, 2, requires_grad=True)
    nothing = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    segmentation_loss(logits, ~nothing, nothing, 2.13, 2.0).sum().backward()
    assert logits.grad is not None and not logits.grad.any() and logits.grad.isfinite().all()


def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_samples() -> None:
    """Whatever part of a sample is known: so that processes with a sample each have the loss of one with all."""
    torch.manual_seed(0)
    head = SegmentationOptions(channels=4).build(4, GRID, NUSCENES).eval()
    drivable = torch.randint(0, 2, (3, 8, 8), dtype=torch.uint8)
    drivable[0, :7], drivable[1] = UNKNOWN, UNKNOWN
    samples = labels((2, 0, CAR, 4)), labels(), labels((5, 1, CAR, 4), (1, 1, CAR, 4))
    bev = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        joint = head.loss(bev, batch_of(*samples, drivable=drivable))
        alone = [
            head.loss(bev[i : i + 1], batch_of(one, drivable=drivable[i : i + 1])) for i, one in enumerate(samples)
        ]
    for name, value in joint.items():
        assert float(value) == pytest.approx(float(sum(one[name] for one in alone)) / 3, rel=1e-5)
    assert float(alone[1]["drivable_area"]) == 0.0


def test_it_learns_classes_at_the_refined_grid_and_each_has_its_own_term() -> None:
    torch.manual_seed(0)
    head = SegmentationOptions(upsample=2, channels=16).build(4, GRID, NUSCENES)
    assert head.map_grid == head.grid == BEVGrid(0.0, 8.0, -4.0, 4.0, 0.5)
    drivable = torch.zeros(2, 16, 16, dtype=torch.uint8)
    drivable[:, 5:12] = 1
    batch = batch_of(labels((2, 0, CAR, 4)), labels((5, 1, CAR, 4)), drivable=drivable, grid=head.grid)
    bev = torch.randn(2, 4, 8, 8)
    optimiser = torch.optim.AdamW(head.parameters(), 0.01)
    losses = []
    for _ in range(60):
        terms = head.loss(bev, batch)
        assert terms.keys() == {"drivable_area", "vehicle"}
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        losses.append(float(sum(terms.values()).detach()))
    assert losses[-1] < 0.15 * losses[0]
    found = head.eval().predict(bev, batch)
    assert found[0].probability.dtype == torch.uint8 and found[0].classes == ("drivable_area", "vehicle")
    assert ((found[0].probability[0] >= 128) == (drivable[0] == 1)).float().mean() > 0.95


def test_predictions_lie_in_the_level_frame_whatever_the_augmentation() -> None:
    """A map that is mirrored and given as such predicts what the map itself does, cell by cell."""
    torch.manual_seed(0)
    head = SegmentationOptions(SegmentedClasses(drivable_area=False)).build(4, GRID, NUSCENES).eval()
    plain = batch_of(labels())
    mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0]))[None]
    logits = torch.randn(1, 1, 8, 8)
    head.forward = lambda bev: bev  # type: ignore[method-assign]
    expected = (logits.sigmoid() * 255).round().to(torch.uint8)[0]
    assert (head.predict(logits, plain)[0].probability.int() - expected.int()).abs().max() <= 1
    mirrored = head.predict(logits.flip(2), replace(plain, bev_from_level=mirror))[0].probability
    assert (mirrored.int() - expected.int()).abs().max() <= 1


def test_the_head_can_be_built_again_from_plain_values() -> None:
    from avjepa.bundle.construction import architecture, build

    head = SegmentationOptions(upsample=2, channels=8).build(4, GRID, NUSCENES)
    again = build(SegmentationHead, architecture(head), "the test")
    assert again.options == head.options and again.state_dict().keys() == head.state_dict().keys()


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        ({"objects": {"vehicle": ["car", "lorry"]}}, "lorry"),
        ({"drivable_area": False, "objects": {}}, "there is no class"),
        ({"objects": {"drivable_area": ["car"]}}, "is the name of the maps' class"),
        ({"minimum_visibility": 5}, "minimum_visibility"),
    ],
)
def test_classes_that_cannot_be_are_one_line(classes: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        SegmentationOptions(SegmentedClasses(**classes)).build(4, GRID, NUSCENES)  # type: ignore[arg-type]


def test_a_batch_without_its_map_is_one_line() -> None:
    head = SegmentationOptions().build(4, GRID, NUSCENES)
    with pytest.raises(UserError, match="map_grid"):
        head.loss(torch.zeros(1, 4, 8, 8), batch_of(labels()))
