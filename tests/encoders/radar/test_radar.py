"""The radar encoder: few points or none, states as features, masked cells dropped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from avjepa.data.files.affine import MergedCloud
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.files.pointfiles import read_radar
from avjepa.data.files.radar import bev_from_radar_file
from avjepa.data.sample import Batch, Points
from avjepa.encoders.radar.encoder import RadarEncoder
from avjepa.encoders.radar.pillars import PillarNet
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from tests.encoders.maps import maps_of

GRID = BEVGrid(x_min=-16.0, x_max=24.0, y_min=-12.0, y_max=18.4, cell=0.8)


def encoder() -> RadarEncoder:
    torch.manual_seed(0)
    return RadarEncoder(GRID, pillar_channels=12, bev_channels=(8, 12), bev_blocks=(0, 1), out_channels=10)


def returns(count: int, seed: int = 0) -> Tensor:
    """Returns on the grid, with plausible states."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.zeros(count, len(RADAR_FIELDS))
    points[:, :2] = torch.rand(count, 2, generator=generator) * torch.tensor((40.0, 30.4)) + torch.tensor(
        (-16.0, -12.0)
    )
    points[:, 2] = 0.5
    points[:, 4:7] = 5 * torch.randn(count, 3, generator=generator)
    points[:, 7:] = torch.randint(0, 4, (count, 9), generator=generator).float()
    return points


def batch_of(*clouds: Tensor, seeds: tuple[int, ...] | None = None) -> Batch:
    counts = torch.tensor([len(cloud) for cloud in clouds])
    size = len(clouds)
    return Batch(
        tokens=tuple(f"token-{i}" for i in range(size)),
        scenes=("scene",) * size,
        seeds=torch.tensor(seeds or tuple(range(size))),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(size, 1, 1),
        bev_from_level=torch.eye(4).repeat(size, 1, 1),
        radar=Points(torch.cat(clouds), torch.repeat_interleave(torch.arange(size), counts), torch.ones(size).bool()),
    )


@pytest.mark.parametrize("counts", [(0,), (1,), (2,), (0, 1), (5, 0, 300)])
def test_training_is_finite_and_reaches_every_parameter_with_few_points_or_none(counts: tuple[int, ...]) -> None:
    model = encoder().train()
    result = model(batch_of(*(returns(count) for count in counts)))
    assert result.features.shape == (len(counts), 10, *GRID.shape)
    assert tuple(level.shape[1] for level in maps_of(result)) == model.intermediate_channels
    result.features.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    assert result.observed.flatten(1).sum(1).tolist() == [
        len({(int(p[1] // 0.8), int(p[0] // 0.8)) for p in (returns(count)[:, :2] + 16).tolist()}) for count in counts
    ]


def test_a_return_marks_its_own_cell_on_an_asymmetric_grid() -> None:
    point = returns(1)
    point[0, :2] = torch.tensor((20.3, -9.1))
    model = encoder().eval()
    result = model(batch_of(point))
    row, column = int((-9.1 + 12) // 0.8), int((20.3 + 16) // 0.8)
    assert result.observed[0].nonzero().tolist() == [[row, column]]
    pillars = maps_of(result)[0][0].abs().sum(0)
    assert pillars.nonzero().tolist() == [[row, column]]
    torch.testing.assert_close(model.tokenise(batch_of(point)).observed, result.observed)


def test_returns_off_the_grid_are_left_out() -> None:
    cloud = returns(6)
    cloud[:3, :2] = torch.tensor([[-16.01, 0.0], [24.0, 0.0], [float("nan"), 0.0]])
    model = encoder().eval()
    torch.testing.assert_close(model(batch_of(cloud)).features, model(batch_of(cloud[3:])).features)


def test_hidden_cells_are_as_if_their_returns_were_never_there() -> None:
    model, cloud = encoder().train(), returns(200)
    masked = torch.rand(1, *GRID.shape, generator=torch.Generator().manual_seed(4)) < 0.5
    rows, columns = ((cloud[:, 1] + 12) // 0.8).long(), ((cloud[:, 0] + 16) // 0.8).long()
    visible = cloud[~masked[0, rows, columns]]
    assert 50 < len(visible) < 150
    one, other = model(batch_of(cloud), masked), model(batch_of(visible))
    torch.testing.assert_close(one.features, other.features)
    torch.testing.assert_close(one.observed, other.observed)
    assert not (one.observed & masked).any()


@pytest.mark.parametrize("field", [f for f in RADAR_FIELDS if f not in ("x", "y")])
def test_every_field_counts(field: str) -> None:
    model, cloud = encoder().eval(), returns(20)
    changed = cloud.clone()
    changed[:, RADAR_FIELDS.index(field)] = (changed[:, RADAR_FIELDS.index(field)] + 1) % 2
    difference = model(batch_of(cloud)).features - model(batch_of(changed)).features
    assert difference.abs().max() > 1e-5


def test_the_order_of_returns_does_not_matter() -> None:
    model, cloud = encoder().eval(), returns(100).repeat(3, 1)
    order = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(batch_of(cloud)).features, model(batch_of(cloud[order])).features)


def test_a_pillar_is_the_same_whatever_else_is_in_the_batch() -> None:
    net = PillarNet(4, 6).train()
    points = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    cell = torch.tensor([3, 3, 0, 7, 7, 7, 1, 5, 5])
    together = net(points, cell, 8)
    assert together[[2, 4, 6]].count_nonzero() == 0
    for number in (0, 1, 3, 5, 7):
        alone = net(points[cell == number], torch.zeros(int((cell == number).sum()), dtype=torch.int64), 1)
        torch.testing.assert_close(together[number], alone[0])


def test_thinning_drops_the_share_of_returns_by_the_samples_seed() -> None:
    model, clouds = encoder(), (returns(400, 1), returns(300, 2))
    tokens = model.tokenise(batch_of(*clouds, seeds=(5, 6))).without(0.4)
    thin = tokens.points.selected(tokens.kept)
    counts = torch.bincount(thin.batch_index, minlength=2)
    assert 0.5 < counts[0] / 400 < 0.7 and 0.5 < counts[1] / 300 < 0.7
    one = model.tokenise(batch_of(clouds[1], seeds=(6,))).without(0.4)
    alone = one.points.selected(one.kept)
    torch.testing.assert_close(alone.features, thin.features[thin.batch_index == 1])


def test_absent_radar() -> None:
    batch = batch_of(returns(30), torch.zeros(0, len(RADAR_FIELDS)))
    assert batch.radar is not None
    lacking = replace(batch, radar=replace(batch.radar, present=torch.tensor([True, False])))
    result = encoder()(lacking)
    assert result.features.isfinite().all() and not result.observed[1].any()
    with pytest.raises(UserError, match="no radar data in the batch of token-0, token-1; add radar to"):
        encoder()(replace(batch, radar=None))
    with pytest.raises(UserError, match="bev_channels"):
        RadarEncoder(GRID, 8, (8,), (1, 1), 8)


@pytest.mark.realdata
def test_the_real_recording_fills_the_cells_of_its_returns(realdata: Path) -> None:
    (path,) = (realdata / "radar_raw").rglob("*.pcd")
    merged = MergedCloud(len(RADAR_FIELDS), 1)
    merged.add(read_radar(path), bev_from_radar_file(np.eye(4), 0.0))
    cloud = merged.points()
    assert len(cloud) == 125
    grid = BEVGrid(-102.33, 102.47, -102.33, 102.47, 0.8)  # the sensor's own steps of 0.2 m never fall on a border
    model = RadarEncoder(grid, pillar_channels=8, bev_channels=(4,), bev_blocks=(0,), out_channels=4).train()
    result = model(batch_of(cloud))
    assert result.features.isfinite().all()
    cells = {(int((y + 102.33) // 0.8), int((x + 102.33) // 0.8)) for x, y in cloud[:, :2].tolist()
             if max(abs(x), abs(y)) < 102.33}  # fmt: skip
    assert {tuple(cell) for cell in result.observed[0].nonzero().tolist()} == cells
