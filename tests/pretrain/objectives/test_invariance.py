import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import BEVMap
from avjepa.encoders.reconstruction_target import PillarPoints
from avjepa.errors import UserError
from avjepa.geometry.transforms import apply, inverse
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.invariance import Invariance, info_nce
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.occupancy import OccupancyReconstruction
from avjepa.pretrain.objectives.targets import EMATargetOptions
from avjepa.pretrain.objectives.views import aligned
from tests.pretrain.toys import GRID, ToyEncoder, batch_of, scene, toy_batch


def augmentation(yaw: float = 0.0, scale: float = 1.0, flip: bool = False) -> Tensor:
    """``bev_from_level`` of a flip along y, a rotation and a scaling."""
    matrix = torch.eye(4)
    cos, sin = math.cos(yaw) * scale, math.sin(yaw) * scale
    matrix[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]]) @ torch.diag(torch.tensor([1.0, -1.0 if flip else 1.0]))
    matrix[2, 2] = scale
    return matrix


def two_views(seeds: list[int], first: Tensor, second: Tensor) -> PretrainBatch:
    def view(pose: Tensor):  # type: ignore[no-untyped-def]
        clouds = []
        for seed in seeds:
            cloud = scene(seed)
            clouds.append(torch.cat((apply(pose, cloud[:, :3]), cloud[:, 3:]), dim=1))
        return batch_of(clouds, seeds, pose.expand(len(seeds), 4, 4))

    return PretrainBatch(view(first), view(second))


@pytest.mark.parametrize("flip", [False, True])
def test_a_marked_place_is_found_in_the_other_view(flip: bool) -> None:
    """Marks in the level frame, rendered in two augmented views: after alignment the maps agree in them."""
    first, second = augmentation(0.4, 1.05), augmentation(-0.7, 0.95, flip)
    ego = torch.tensor([[6.0, 1.0, 0.0], [-3.0, 4.0, 0.0], [2.0, -5.0, 0.0]])  # asymmetric
    second_xy = apply(second, ego)[:, :2]
    distance = (GRID.centres()[None] - second_xy[:, None, None]).norm(dim=-1)
    heat = torch.exp(-distance.square() / 4)[None]
    occupied = (distance < 0.75).any(0)[None]
    moved = aligned(BEVMap(heat, occupied), GRID, (second @ inverse(first))[None])
    first_xy = apply(first, ego)[:, :2]
    for mark, xy in enumerate(first_xy):
        peak = moved.features[0, mark].flatten().argmax()
        assert (GRID.centres().view(-1, 2)[peak] - xy).norm() < 0.8
        cell, _ = GRID.cell_of(xy)
        assert moved.observed[0, cell[0] - 1 : cell[0] + 2, cell[1] - 1 : cell[1] + 2].any()


def test_alignment_with_itself_changes_nothing_and_outside_is_empty() -> None:
    map_ = ToyEncoder()(toy_batch([1, 2]).context)
    same = aligned(map_, GRID, torch.eye(4).expand(2, 4, 4))
    torch.testing.assert_close(same.features, map_.features, atol=1e-4, rtol=1e-4)
    assert torch.equal(same.observed, map_.observed)
    far = torch.eye(4)
    far[0, 3] = 1000.0
    gone = aligned(map_, GRID, far.expand(2, 4, 4))
    assert not gone.observed.any()
    assert not gone.features.any()


def test_info_nce_by_hand() -> None:
    queries = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    sample = torch.tensor([0, 0, 1])
    out = info_nce(queries, queries, sample, temperature=0.5)
    # cosines 1 and 0 within sample 0; sample 1 has no negative
    assert out.tolist() == pytest.approx([math.log(1 + math.exp(-2)), math.log(1 + math.exp(-2)), 0.0], abs=1e-6)


@pytest.mark.parametrize("comparison", ["vicreg", "infonce"])
def test_it_learns_to_recognise_places_across_views(comparison: Literal["vicreg", "infonce"]) -> None:
    """A cell's embedding is nearest to that of the same place in the other view more often than before training."""
    torch.manual_seed(0)
    model = Invariance(ToyEncoder(), comparison=comparison, input_dropout=0.1, width=32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first, second = augmentation(0.2), augmentation(-0.15, 1.05, flip=True)

    def loss(seeds: list[int]) -> Tensor:
        out: Tensor = model(two_views(seeds, first, second)).loss
        return out

    unseen = list(range(5000, 5008))
    before = float(loss(unseen).detach())
    for step in range(40):
        value = loss(list(range(4 * step, 4 * step + 4)))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert float(loss(unseen).detach()) < 0.9 * before
    tokens = model(two_views(unseen, first, second)).embeddings
    rows = tokens.context.permute(0, 2, 3, 1)[tokens.occupied]
    assert torch.nn.functional.normalize(rows, dim=1).std(0).mean() * 4 > 0.25, "no collapse"


@pytest.mark.parametrize("comparison", ["vicreg", "infonce"])
def test_every_parameter_is_trained_with_and_without_masks(comparison: Literal["vicreg", "infonce"]) -> None:
    views = two_views([1, 2], augmentation(0.2), augmentation(-0.2))
    for masks in (None, MultiBlock(sides=(1.0, 2.0))):
        model = Invariance(ToyEncoder(), masks, comparison, width=16)
        output = model(views)
        output.loss.backward()
        assert bool(output.embeddings.masked.any()) == (masks is not None)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name


@pytest.mark.parametrize("comparison", ["vicreg", "infonce"])
def test_nothing_to_compare_is_no_nan(comparison: Literal["vicreg", "infonce"]) -> None:
    batch = batch_of([scene(1, 0), scene(2, 1)], [1, 2])
    model = Invariance(ToyEncoder(), comparison=comparison, width=16)
    output = model(PretrainBatch(batch, batch))
    output.loss.backward()
    assert output.loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_objectives_that_compare_cell_by_cell_refuse_views_in_different_frames() -> None:
    views = two_views([1], augmentation(0.2), augmentation(-0.2))
    masks = MultiBlock(sides=(1.0, 2.0))
    for model in (
        JEPA(ToyEncoder(), masks, EMATargetOptions()),
        OccupancyReconstruction(ToyEncoder(), masks, PillarPoints("lidar")),
    ):
        with pytest.raises(UserError, match="independent_views"):
            model(views)


def test_equal_views_are_refused() -> None:
    with pytest.raises(UserError, match="both views are the same"):
        Invariance(ToyEncoder(), input_dropout=0.0)(toy_batch([1]))
