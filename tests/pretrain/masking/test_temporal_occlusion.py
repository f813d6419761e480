"""Cells that were seen before they were hidden: what the context may remember of them, and what not."""

import pytest
import torch

from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.encoders.base import BEVMap
from avjepa.encoders.point_tokens import PointTokens
from avjepa.errors import UserError
from avjepa.fusion.tokens import FusedTokens
from avjepa.pretrain.masking.generators import MultiBlock, TemporalOcclusion
from avjepa.pretrain.objectives.cells import CellWeights, cell_loss, loss_cells
from avjepa.pretrain.objectives.predictor import Predictor, PredictorOptions
from tests.encoders.lidar.test_lidar import GRID, batch_of, encoder
from tests.fusion.toys import batch_of as fused_batch
from tests.fusion.toys import fused

TIME = LIDAR_FIELDS.index("time_lag")
HIDDEN_FOR = 0.3


def cloud() -> torch.Tensor:
    """Two points in one cell, an old and a young one, and a young one far away."""
    points = torch.zeros(3, 6)
    points[:, :3] = torch.tensor([[4.0, 4.0, 0.5], [4.4, 4.2, 1.0], [-12.0, 2.0, 0.5]])
    points[:, TIME] = torch.tensor([0.5, 0.1, 0.0])
    return points


def encoded(points: torch.Tensor) -> tuple[BEVMap, torch.Tensor]:
    model, batch = encoder().eval(), batch_of(points)
    tokens = model.tokenise(batch)
    masked = tokens.observed.clone()
    masked[:, :, :10] = False  # the far one stays visible
    shown = TemporalOcclusion(MultiBlock(), HIDDEN_FOR).shown(tokens)
    with torch.no_grad():
        return model.encode(shown, masked), masked


def test_what_is_younger_than_the_occlusion_cannot_be_read_and_what_is_older_can() -> None:
    plain, masked = encoded(cloud())
    assert masked.sum() == 1 and plain.observed[masked].all()
    young, old = cloud(), cloud()
    young[1, :4] += 0.1
    old[0, 3] += 0.5
    assert torch.equal(encoded(young)[0].features, plain.features)
    assert not torch.equal(encoded(old)[0].features, plain.features)


def test_without_memory_nothing_of_a_hidden_cell_is_observed() -> None:
    recent = cloud()
    recent[0, TIME] = HIDDEN_FOR - 0.01
    found, masked = encoded(recent)
    assert not found.observed[masked].any()


def test_masks_are_those_of_the_generator_within() -> None:
    observed = torch.rand(2, *GRID.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    arguments = (observed, torch.tensor([3, 4]), GRID, torch.zeros(2, 2))
    assert torch.equal(TemporalOcclusion(MultiBlock(), 0.5).sample(*arguments), MultiBlock().sample(*arguments))
    with pytest.raises(UserError, match=r"TemporalOcclusion\.hidden_for"):
        TemporalOcclusion(MultiBlock(), -1.0)


def test_the_predictor_reads_a_hidden_cell_only_where_it_is_remembered() -> None:
    torch.manual_seed(0)
    predictor = Predictor(3, 5, GRID, PredictorOptions(8, (1,))).eval()
    masked, observed = torch.zeros(2, 1, *GRID.shape, dtype=torch.bool).unbind(0)
    masked[0, 4, 4:6] = True
    observed[0, 4, 4] = True
    features = torch.randn(1, 3, *GRID.shape)

    def prediction(column: int) -> torch.Tensor:
        changed = features.clone()
        changed[0, :, 4, column] += 1.0
        cell = torch.tensor([4 * GRID.shape[1] + column])
        before, after = (
            predictor(BEVMap(x, observed), masked, torch.zeros(1, 2), cell, observed) for x in (features, changed)
        )
        return after - before

    assert prediction(4).abs().max() > 1e-3 and not prediction(5).any()


def test_cells_that_changed_count_more_among_their_kind() -> None:
    before = torch.tensor([[[True, False, True, False]]])
    after = torch.tensor([[[True, True, False, False]]])
    masked = torch.ones(1, 1, 4, dtype=torch.bool)
    weights = CellWeights(1.0, 1.0, 0.0, changed=3.0)
    cells = loss_cells(masked, after, torch.tensor([1]), 99, counts=weights.counts(before, after))
    terms = cell_loss(torch.tensor([1.0, 2.0, 4.0, 8.0]), cells, weights)
    # by hand: cell 1 appeared and cell 2 emptied
    assert float(terms["masked_occupied"]) == pytest.approx((1 + 3 * 2) / 4)
    assert float(terms["masked_empty"]) == pytest.approx((3 * 4 + 8) / 4)
    assert CellWeights().counts(before, after) is None
    with pytest.raises(UserError, match=r"weights\.changed"):
        CellWeights(changed=0.5)


def test_every_branch_of_a_fused_map_remembers() -> None:
    model, batch = fused(("lidar", "radar")), fused_batch([1])
    assert batch.lidar is not None and batch.radar is not None
    for points, fields in ((batch.lidar, LIDAR_FIELDS), (batch.radar, RADAR_FIELDS)):
        points.features[::2, fields.index("time_lag")] = 0.5
    recalled = TemporalOcclusion(MultiBlock(), HIDDEN_FOR).shown(model.tokenise(batch))
    assert isinstance(recalled, FusedTokens)
    for name, points in (("lidar", batch.lidar), ("radar", batch.radar)):
        tokens = recalled.tokens[name]
        assert isinstance(tokens, PointTokens) and tokens.remembered is not None
        assert tokens.remembered.tolist() == [row % 2 == 0 for row in range(len(points.features))]
