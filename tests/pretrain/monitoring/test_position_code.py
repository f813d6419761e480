"""A target that says where a cell is gives itself away; one that says what lies there does not."""

import math
from typing import Any

import pytest
import torch

from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVMap, DenseFeatures, Tokens
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.monitoring.alarm import CollapseAlarm
from avjepa.pretrain.monitoring.position_code import CELL_MEAN, OTHER, OWN, PositionCode
from avjepa.pretrain.objectives.ema import Momentum
from avjepa.pretrain.objectives.jepa import JEPA
from avjepa.pretrain.objectives.objective import Embeddings
from avjepa.pretrain.objectives.predictor import PredictorOptions
from avjepa.pretrain.objectives.targets import EMATargetOptions, FrozenTargetOptions
from tests.pretrain.toys import GRID, ToyEncoder, toy_batch


def embeddings(target: torch.Tensor, prediction: torch.Tensor, compared: torch.Tensor | None = None) -> Embeddings:
    """Of maps (batch, channel, y, x) whose cells are all hidden and occupied."""
    everywhere = torch.ones(target[:, 0].shape, dtype=torch.bool)
    at = everywhere if compared is None else compared
    rows = [each.permute(0, 2, 3, 1)[at] for each in (prediction, target)]
    return Embeddings(target, everywhere, everywhere, at, *rows)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_target_of_the_cell_alone_fits_every_sample() -> None:
    code = random(1, 8, 6, 5).expand(3, -1, -1, -1)
    measures = PositionCode().measured(embeddings(code, code))
    assert measures[OWN] == pytest.approx(1) and measures[OTHER] == pytest.approx(1) and measures[CELL_MEAN] is None
    assert "says where a cell is" in CollapseAlarm().reasons(measures, {})[0]


def test_a_target_of_the_content_fits_its_own() -> None:
    target = random(3, 8, 6, 5)
    measures = PositionCode().measured(embeddings(target, target))
    assert measures[OWN] == pytest.approx(1) and abs(measures[OTHER]) < 0.2  # type: ignore[arg-type]
    assert CollapseAlarm().reasons(measures, {}) == []


def test_cells_are_matched_where_samples_were_compared_at_different_ones() -> None:
    code = random(1, 8, 6, 5).expand(2, -1, -1, -1)
    compared = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(3)) < 0.6
    measures = PositionCode().measured(embeddings(code, code, compared))
    assert measures[OTHER] == pytest.approx(1)


def test_the_mean_of_a_cell_is_what_its_targets_average_to() -> None:
    """Targets of a cell at +1 and -1 around its code: the mean is the code, at smooth L1 1/2 from each."""
    code, noise = random(1, 1, 2, 2), torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    target = (code + noise).expand(2, 1, 2, 2)
    seen = embeddings(target, target - 0.5 * noise)
    smooth = Embeddings(
        seen.context, seen.masked, seen.occupied, seen.compared, seen.prediction, seen.target, "smooth_l1"
    )
    monitor = PositionCode(fewest=4)
    assert [monitor.measured(smooth)[CELL_MEAN] for _ in range(2)] == [None, None]
    assert monitor.measured(smooth)[CELL_MEAN] == pytest.approx(0.125 / 0.5)  # predictions are half way to the target
    again = PositionCode(fewest=4)
    again.restore(monitor.state())
    assert again.measured(smooth)[CELL_MEAN] == pytest.approx(0.25)


@pytest.mark.parametrize("batch", [0, 1])
def test_one_sample_or_none_says_nothing(batch: int) -> None:
    maps = random(batch, 8, 6, 5)
    assert PositionCode().measured(embeddings(maps, maps)) == {OWN: None, OTHER: None, CELL_MEAN: None}


class WhereAlone(ToyEncoder):
    """Says where a cell is, whatever lies in it: waves along both axes."""

    def encode(self, tokens: Tokens, masked: Any = None) -> BEVMap:
        observed = tokens.observed
        rows, columns = GRID.shape
        y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        waves = [part(math.pi * k * each) for k in (0.5, 1) for each in (x, y) for part in (torch.sin, torch.cos)]
        code = torch.stack(waves)[None].expand(len(observed), -1, -1, -1)
        return BEVMap(code, observed, (DenseFeatures(code),))

    def forward(self, batch: Batch, masked: Any = None) -> BEVMap:
        return self.encode(self.tokenise(batch), masked)


@pytest.mark.parametrize("planted", [True, False])
def test_it_rings_within_fifty_steps_of_a_planted_code_and_not_in_a_healthy_training(planted: bool) -> None:
    torch.manual_seed(0)
    target = FrozenTargetOptions(WhereAlone(8)) if planted else EMATargetOptions(Momentum(0.99, 0.99))
    model = JEPA(ToyEncoder(), MultiBlock(sides=(1.0, 2.0)), target, predictor=PredictorOptions(32, (1, 2)))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    monitor, alarm, rung = PositionCode(), CollapseAlarm(), []
    for step in range(50 if planted else 100):
        output = model(toy_batch(list(range(step * 4, step * 4 + 4))))
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
        model.after_step(step + 1)
        if alarm.reasons(monitor.measured(output.embeddings), {}):
            rung.append(step)
    assert bool(rung) == planted, rung
