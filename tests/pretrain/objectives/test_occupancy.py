import math
from dataclasses import replace

import pytest
import torch

from avjepa.data.sample import Points, PretrainBatch
from avjepa.encoders.reconstruction_target import Content, PillarPoints
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.occupancy import OccupancyReconstruction
from avjepa.pretrain.objectives.predictor import PredictorOptions
from tests.pretrain.toys import GRID, ToyEncoder, batch_of, scene, toy_batch

SMALL = BEVGrid(0.0, 3.0, 0.0, 2.0, 1.0)


def test_content_by_hand() -> None:
    """Four bins of 1 m from -1 m; two points in cell (row 1, column 2), one outside in z, one outside in x."""
    cloud = torch.zeros(4, 6)
    cloud[:, :3] = torch.tensor([[2.5, 1.5, 0.5], [2.1, 1.9, 2.5], [2.5, 1.5, 3.5], [3.5, 1.5, 0.0]])
    target = PillarPoints("lidar", z_min=-1.0, z_max=3.0, height_bins=4)
    content = target.of(batch_of([cloud, cloud[:0]], [1, 2]), SMALL)
    assert content.values.shape == (2, 2, 3, target.channels)
    expected = [0.0, 1.0, 0.0, 1.0, math.log(3), (1.5 + 3.5) / 2 / 4, 3.5 / 4]
    assert content.values[0, 1, 2].tolist() == pytest.approx(expected)
    assert content.occupied.nonzero().tolist() == [[0, 1, 2]]
    assert float(content.values.abs().sum()) == pytest.approx(sum(expected))
    assert content.valid.all()


def test_a_sample_without_the_sensor_is_not_empty_space() -> None:
    batch = batch_of([scene(1), scene(2)[:0]], [1, 2])
    assert batch.lidar is not None
    points = replace(batch.lidar, present=torch.tensor([True, False]))
    content = PillarPoints("lidar").of(replace(batch, lidar=points), GRID)
    assert content.valid[0].all()
    assert not content.valid[1].any()
    with pytest.raises(UserError, match="no radar"):
        PillarPoints("radar").of(batch, GRID)


def test_radar_points_have_columns_too() -> None:
    features = torch.zeros(1, 16)
    features[0, :2] = torch.tensor([1.5, 0.5])
    radar = Points(features, torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool))
    # one bin: fewer than eight must not matter (defect 8)
    content = PillarPoints("radar", height_bins=1).of(
        replace(batch_of([scene(1)], [1]), radar=radar, lidar=None), SMALL
    )
    assert content.occupied.nonzero().tolist() == [[0, 0, 1]]
    assert content.values.isfinite().all()


def test_a_perfect_prediction_costs_nothing_and_heights_count_where_something_is() -> None:
    target = PillarPoints("lidar")
    content = target.of(toy_batch([1]).context, GRID)
    values, occupied = content.values.flatten(0, 2), content.occupied.flatten()
    perfect = values.clone()
    perfect[:, :10] = 40 * (2 * perfect[:, :10] - 1)
    assert float(target.distance(perfect, values, occupied).max()) < 1e-6
    off = perfect.clone()
    off[:, 11:] += 1
    assert (target.distance(off, values, occupied) > 0.5)[occupied].all()
    assert float(target.distance(off, values, occupied)[~occupied].max()) < 1e-6
    unsure = torch.zeros_like(perfect)
    unsure[:, 10:] = perfect[:, 10:]
    torch.testing.assert_close(target.distance(unsure, values, occupied), torch.full((len(values),), math.log(2)))


def objective(input_dropout: float = 0.4) -> OccupancyReconstruction:
    torch.manual_seed(0)
    masks = MultiBlock(sides=(1.0, 2.0))
    return OccupancyReconstruction(
        ToyEncoder(), masks, PillarPoints("lidar"), PredictorOptions(16, (1,)), input_dropout
    )


def test_it_learns_to_tell_masked_occupied_cells() -> None:
    """Better on unseen scenes than any constant: than the entropy of the bins' frequencies and the mean heights."""
    model = objective(input_dropout=0.1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        loss = model(toy_batch(list(range(4 * step, 4 * step + 4)))).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    test = toy_batch(list(range(10_000, 10_016)))
    output = model(test)
    content = model.reconstruction_target.of(test.target, GRID)
    masked, weights = output.embeddings.masked, model.weights
    full, empty = masked & content.occupied, masked & ~content.occupied
    values = content.values
    constant = weights.occupied * values[full].mean(0) + weights.empty * values[empty].mean(0)
    constant[:10] = torch.logit(constant[:10].clamp(1e-6, 1 - 1e-6))
    constant[11:] = values[full].mean(0)[11:]
    rows = values.flatten(0, 2)
    distance = model.reconstruction_target.distance(constant.expand_as(rows), rows, content.occupied.flatten())
    distance = distance.view_as(full)
    trivial = weights.occupied * distance[full].mean() + weights.empty * distance[empty].mean()
    assert float(output.terms["masked_occupied"] + output.terms["masked_empty"]) < 0.85 * float(trivial)


def test_every_parameter_is_trained_and_the_target_may_know_more() -> None:
    model = objective(input_dropout=0.0)
    context, more = batch_of([scene(1, 3)], [1]), batch_of([torch.cat((scene(1, 3), scene(7, 6)))], [1])
    model(PretrainBatch(context, more)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    plain, privileged = model(PretrainBatch(context, context)), model(PretrainBatch(context, more))
    assert torch.equal(plain.embeddings.masked, privileged.embeddings.masked)
    torch.testing.assert_close(plain.embeddings.context, privileged.embeddings.context)
    assert plain.loss != privileged.loss


def test_unknown_cells_do_not_count() -> None:
    """Whatever stands in the half of the map that is not known, the loss and its gradient stay the same."""

    class HalfKnown(PillarPoints):
        unknown = 0.0

        def of(self, batch, grid):  # type: ignore[no-untyped-def]
            content = super().of(batch, grid)
            known = torch.arange(grid.shape[1]) < 12
            return Content(
                torch.where(known[:, None], content.values, self.unknown), content.occupied, content.valid & known
            )

    def trained(unknown: float) -> tuple[float, list[torch.Tensor]]:
        model = objective()
        model.reconstruction_target = HalfKnown("lidar")
        model.reconstruction_target.unknown = unknown
        loss = model(toy_batch([1, 2])).loss
        loss.backward()
        return float(loss.detach()), [parameter.grad for parameter in model.parameters()]

    loss, gradients = trained(0.0)
    other_loss, other_gradients = trained(1e4)
    assert loss == other_loss
    assert all(torch.equal(a, b) for a, b in zip(gradients, other_gradients, strict=True))


def test_wrong_bins_are_refused() -> None:
    with pytest.raises(UserError, match="PillarPoints"):
        PillarPoints("lidar", z_min=1.0, z_max=1.0)
