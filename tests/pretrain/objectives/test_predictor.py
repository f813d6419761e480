from dataclasses import replace

import pytest
import torch
from torch import Tensor

from avjepa.encoders.base import BEVMap
from avjepa.pretrain.objectives.predictor import PositionEncoding, Predictor, PredictorOptions
from tests.pretrain.toys import GRID

ROWS, COLUMNS = GRID.shape


def context(samples: int = 2, channels: int = 6, seed: int = 0) -> BEVMap:
    generator = torch.Generator().manual_seed(seed)
    occupied = torch.rand(samples, ROWS, COLUMNS, generator=generator) < 0.3
    return BEVMap(torch.randn(samples, channels, ROWS, COLUMNS, generator=generator) * occupied[:, None], occupied)


def predictor(out_channels: int = 5, stride: int = 2) -> Predictor:
    torch.manual_seed(0)
    return Predictor(6, out_channels, GRID, PredictorOptions(16, (1, 2), stride))


def some_masked(samples: int = 2) -> Tensor:
    return torch.rand(samples, ROWS, COLUMNS, generator=torch.Generator().manual_seed(9)) < 0.5


ORIGIN = torch.zeros(2, 2)
ALL = torch.arange(2 * ROWS * COLUMNS)


def test_mask_and_empty_token_are_trained() -> None:
    """Defect 1: they were tensors of a parent module that the optimiser never saw."""
    model = predictor()
    named = dict(model.named_parameters())
    tokens = ("tokens.weight", "cell_tokens.weight")
    before = {name: named[name].detach().clone() for name in tokens}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(context(), some_masked(), ORIGIN, ALL).square().mean().backward()
    optimiser.step()
    for name, value in before.items():
        assert (named[name] != value).any(0).all(), name


def test_a_hidden_cell_and_an_empty_one_are_told_apart() -> None:
    nothing = BEVMap(torch.zeros(1, 6, ROWS, COLUMNS), torch.zeros(1, ROWS, COLUMNS, dtype=torch.bool))
    none = torch.zeros(1, ROWS, COLUMNS, dtype=torch.bool)
    cells, model = ALL[: ROWS * COLUMNS], predictor()
    seen = replace(nothing, observed=~none)
    predictions = [model(nothing, ~none, ORIGIN[:1], cells), model(nothing, none, ORIGIN[:1], cells)]
    predictions.append(model(seen, none, ORIGIN[:1], cells))
    for number, first in enumerate(predictions):
        for second in predictions[number + 1 :]:
            assert ((first - second).abs().amax(1) > 1e-3).all()


def test_prediction_reaches_any_signed_target() -> None:
    """Defect 2: behind a ReLU the cosine distance to a zero-mean target has a floor, about 1 - 1/√2 at best."""
    model = predictor(out_channels=8)
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(1, 8, generator=generator).expand(len(ALL), -1)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(30):
        distance = (1 - torch.cosine_similarity(model(context(), some_masked(), ORIGIN, ALL), target, dim=1)).mean()
        optimiser.zero_grad()
        distance.backward()
        optimiser.step()
    assert float(distance.detach()) < 0.01
    rectified = torch.cosine_similarity(target.relu(), target, dim=1)
    assert float(1 - rectified.mean()) > 0.15, "the floor that a ReLU would leave here"


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_some_cells_alone_are_predicted_as_among_all(stride: int) -> None:
    """Also where the grid is not a whole number of squares."""
    model, masked = predictor(stride=stride), some_masked()
    cells = torch.randperm(len(ALL), generator=torch.Generator().manual_seed(1))[:100]
    whole = model(context(), masked, ORIGIN, ALL)
    torch.testing.assert_close(model(context(), masked, ORIGIN, cells), whole[cells])


def test_what_is_hidden_is_not_read() -> None:
    model, map_, masked = predictor(), context(), some_masked()
    changed = replace(
        map_,
        features=torch.where(masked[:, None], 100.0, map_.features),
        observed=map_.observed ^ masked,
    )
    torch.testing.assert_close(model(changed, masked, ORIGIN, ALL), model(map_, masked, ORIGIN, ALL))


def test_what_an_encoder_infers_in_empty_cells_is_trained() -> None:
    map_ = context()
    features = map_.features.clone().requires_grad_()
    masked = some_masked()
    predictor()(BEVMap(features, map_.observed), masked, ORIGIN, ALL).square().mean().backward()
    assert features.grad is not None
    reached = features.grad.abs().sum(1) > 0
    assert reached[~map_.observed & ~masked].all()
    assert not reached[masked].any()


@pytest.mark.parametrize("stride", [1, 2])
def test_receptive_field_is_as_documented(stride: int) -> None:
    torch.manual_seed(0)
    model = Predictor(6, 5, GRID, PredictorOptions(8, (1, 2), stride))
    features = torch.randn(1, 6, ROWS, COLUMNS, requires_grad=True)
    none = torch.zeros(1, ROWS, COLUMNS, dtype=torch.bool)
    model(BEVMap(features, ~none), none, ORIGIN[:1], torch.tensor([8 * COLUMNS + 12])).sum().backward()
    assert features.grad is not None
    seen = features.grad.abs().sum((0, 1)) > 0
    assert int(seen.any(0).sum()) == stride * (1 + 2 * (1 + 2))
    assert int(seen.any(1).sum()) == stride * (1 + 2 * (1 + 2))


def test_cells_without_neighbours_differ_by_position() -> None:
    everything = torch.ones(2, ROWS, COLUMNS, dtype=torch.bool)
    out = predictor()(context(), everything, torch.tensor([[0.0, 0.0], [3.0, -2.0]]), ALL)
    inner = out.view(2, ROWS, COLUMNS, -1)[:, 4:-4, 4:-4].flatten(1, 2)
    assert (inner[0].std(dim=0) > 1e-3).all(), "position alone tells cells apart"
    assert len(inner[0].unique(dim=0)) == len(inner[0]), "those of one square, too"
    assert not torch.allclose(inner[0], inner[1]), "and it is relative to the sensor"


def test_position_is_metric_and_relative_to_the_sensor() -> None:
    """The same offset from the sensor has the same code; 4 cells are one period of the fastest wave."""
    encoding = PositionEncoding(GRID, wavelengths=3)
    codes = encoding(torch.tensor([[0.0, 0.0], [2.0, 1.0]]))
    torch.testing.assert_close(codes[0, 8, 10], codes[1, 9, 12])
    fastest_x = codes[0, ..., 0]  # sine of x
    torch.testing.assert_close(fastest_x[:, :-4], fastest_x[:, 4:], atol=1e-4, rtol=0)
    assert (fastest_x[:, 0] - fastest_x[:, 2]).abs().max() > 0.5
    assert fastest_x[0] == pytest.approx(fastest_x[-1]), "x does not change along a column"
