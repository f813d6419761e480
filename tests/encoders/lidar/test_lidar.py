"""The LiDAR encoder: where things land, what is masked, and what happens at the edges."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from avjepa.bundle.construction import build
from avjepa.data.sample import Batch, Points
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.lidar.encoder import LidarEncoder
from avjepa.encoders.lidar.voxelise import voxelised
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from tests.encoders.maps import maps_of

GRID = BEVGrid(-24.0, 24.0, -16.0, 16.0, 1.6)  # 20 rows, 30 columns
ROWS, COLUMNS = 20, 30
ARGUMENTS: dict[str, Any] = {
    "token_grid": GRID,
    "voxel_size": 0.4,
    "voxel_height": 0.5,
    "z_range": (-2.0, 4.0),
    "channels": (4, 6, 8),
    "blocks": (0, 1, 1),
    "strides": (1, 2, 2),
    "overlapping": False,
    "bev_channels": (6, 8),
    "bev_blocks": (1, 1),
    "out_channels": 10,
}


def encoder(**changes: Any) -> LidarEncoder:
    torch.manual_seed(0)
    return LidarEncoder(**(ARGUMENTS | changes))


def batch_of(*clouds: Tensor | None, seeds: list[int] | None = None) -> Batch:
    size = len(clouds)
    rows = [torch.zeros(0, 6) if cloud is None else cloud for cloud in clouds]
    index = torch.repeat_interleave(torch.arange(size), torch.tensor([len(row) for row in rows]))
    present = torch.tensor([cloud is not None for cloud in clouds])
    return Batch(
        tokens=tuple(f"token{i}" for i in range(size)),
        scenes=("scene",) * size,
        seeds=torch.tensor(seeds or list(range(size))),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(size, 1, 1),
        bev_from_level=torch.eye(4).repeat(size, 1, 1),
        lidar=Points(torch.cat(rows), index, present),
    )


def cloud_of(count: int, seed: int) -> Tensor:
    """Random points, some outside the grid, on 32 beams."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(count, 6, generator=generator)
    low = torch.tensor([-26.0, -18.0, -2.5, 0.0, 0.0, 0.0])
    high = torch.tensor([26.0, 18.0, 4.5, 1.0, 0.5, 32.0])
    cloud = low + unit * (high - low)
    cloud[:, 5].floor_()
    return cloud


POINT = torch.tensor([[20.0, -7.0, 0.5, 0.3, 0.0, 4.0]])
# by hand: column (20 + 24) / 1.6 = 27.5, row (-7 + 16) / 1.6 = 5.6
POINT_ROW, POINT_COLUMN = 5, 27


@pytest.mark.parametrize("overlapping", [False, True])
def test_a_point_lights_up_its_cell(overlapping):
    model = encoder(overlapping=overlapping).eval()
    with torch.no_grad():
        empty, lit = model(batch_of(torch.zeros(0, 6))), model(batch_of(POINT))
    assert lit.features.shape == (1, 10, ROWS, COLUMNS)
    assert lit.observed.nonzero().tolist() == [[0, POINT_ROW, POINT_COLUMN]]
    for before, after, spread in zip(maps_of(empty), maps_of(lit), (0, overlapping, overlapping, 4), strict=True):
        _, rows, columns = (after != before).any(1).nonzero().unbind(1)
        assert len(rows) and (rows - POINT_ROW).abs().max() <= spread and (columns - POINT_COLUMN).abs().max() <= spread
    change = (lit.features - empty.features).abs().sum(1)[0]
    assert change[POINT_ROW - 2 : POINT_ROW + 3, POINT_COLUMN - 2 : POINT_COLUMN + 3].sum() > 0.1 * change.sum()


@pytest.mark.parametrize(
    ("most", "channels"), [(1, (4, 6, 8, 6)), (4, (4 * 4, 6 * 4, 8 * 3, 6)), (99, (4 * 12, 6 * 6, 8 * 3, 6))]
)
def test_levels_are_as_announced(most, channels):
    """12 layers of voxels; the strides leave 12, 6 and 3."""
    model = encoder(level_layers=most)
    levels = maps_of(model(batch_of(cloud_of(300, 0), cloud_of(300, 1))))
    assert model.intermediate_channels == channels
    shapes = [tuple(level.shape) for level in levels]
    assert shapes == [(2, c, ROWS, COLUMNS) for c in model.intermediate_channels]


@pytest.mark.parametrize("stage", [0, 1])
def test_levels_are_means_over_the_sites_in_a_layer_of_a_cell(stage):
    """Three layers of 2 m: four voxels of half a metre each in the first stage, two of a metre in the second."""
    model = encoder(level_layers=3).eval()
    cloud = cloud_of(2000, 3)
    tokens = model.tokenise(batch_of(cloud))
    sites = voxelised(tokens.points, tokens.voxel, tokens.visible(None), model.voxel_grid)
    for part in model.stages[: stage + 1]:
        sites = part(sites)
    level = maps_of(model(batch_of(cloud)))[stage]
    per_cell, per_layer = (4, 4) if stage == 0 else (2, 2)
    in_cell = (sites.indices[:, 2] // per_cell == 11) & (sites.indices[:, 3] // per_cell == 17)
    for layer, found in enumerate(level[0, :, 11, 17].split(sites.features.shape[1])):
        there = sites.features[in_cell & (sites.indices[:, 1] // per_layer == layer)]
        assert len(there)
        torch.testing.assert_close(found, there.mean(0))


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_hidden_cells_do_not_reach_the_output(training, overlapping):
    model = encoder(overlapping=overlapping).train(training)
    generator = torch.Generator().manual_seed(1)
    masked = torch.rand(2, ROWS, COLUMNS, generator=generator) < 0.5
    outputs = []
    for other_seed in (7, 8):
        clouds = []
        for sample in range(2):
            cloud, other = cloud_of(1500, sample), cloud_of(1500, other_seed + sample)
            clouds.append(
                torch.cat((cloud[~in_masked(cloud, masked[sample])], other[in_masked(other, masked[sample])]))
            )
        with torch.no_grad():
            outputs.append(model(batch_of(*clouds), masked))
    visible = [cloud[~in_masked(cloud, masked[s])] for s, cloud in enumerate((cloud_of(1500, 0), cloud_of(1500, 1)))]
    with torch.no_grad():
        outputs.append(model(batch_of(*visible)))
    assert not (outputs[0].observed & masked).any() and outputs[0].observed.any()
    for other in outputs[1:]:
        assert torch.equal(outputs[0].features, other.features)
        assert torch.equal(outputs[0].observed, other.observed)
        assert all(torch.equal(a, b) for a, b in zip(maps_of(outputs[0]), maps_of(other), strict=True))


def in_masked(cloud: Tensor, masked: Tensor) -> Tensor:
    """Whether each point's cell is masked, by plain arithmetic."""
    flags = []
    for x, y in cloud[:, :2].double().tolist():
        row, column = int((y + 16) // 1.6), int((x + 24) // 1.6)
        flags.append(0 <= row < ROWS and 0 <= column < COLUMNS and bool(masked[row, column]))
    return torch.tensor(flags)


def test_everything_hidden_is_like_an_empty_cloud():
    model = encoder().eval()
    everything = torch.ones(1, ROWS, COLUMNS, dtype=torch.bool)
    with torch.no_grad():
        masked, empty = model(batch_of(cloud_of(500, 0)), everything), model(batch_of(torch.zeros(0, 6)))
    assert torch.equal(masked.features, empty.features) and not masked.observed.any()


def test_occupied_counts_the_points_inside_the_volume():
    model = encoder()
    batch = batch_of(cloud_of(400, 0), None, cloud_of(400, 1))
    expected = torch.zeros(3, ROWS, COLUMNS, dtype=torch.bool)
    for sample, (x, y, z, *_) in zip(
        batch.lidar.batch_index.tolist(), batch.lidar.features.double().tolist(), strict=True
    ):
        if -24 <= x < 24 and -16 <= y < 16 and -2 <= z < 4:
            expected[sample, int((y + 16) // 1.6), int((x + 24) // 1.6)] = True
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(model.tokenise(batch).observed, expected)
    assert torch.equal(model(batch).observed, expected)


def test_occupied_agrees_with_the_grid_that_masks_and_heads_use():
    """Also for points on the border of a cell, as floating point has it."""
    model = encoder()
    x = -24 + 0.4 * torch.arange(120.0)
    cloud = torch.zeros(120, 6)
    cloud[:, 0], cloud[:, 1] = x, x * 0.5
    row_column, inside = GRID.cell_of(cloud[:, :2])
    expected = torch.zeros(1, ROWS, COLUMNS, dtype=torch.bool)
    expected[0, row_column[inside, 0], row_column[inside, 1]] = True
    assert torch.equal(model.tokenise(batch_of(cloud)).observed, expected)


def test_samples_do_not_influence_each_other():
    model = encoder().eval()
    first, second = cloud_of(800, 0), cloud_of(300, 1)
    with torch.no_grad():
        together, alone = model(batch_of(first, None, second)), model(batch_of(second))
    torch.testing.assert_close(together.features[2:], alone.features)
    assert torch.equal(together.observed[2:], alone.observed)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("clouds", [(None, None), (POINT, None), (POINT, POINT), (torch.zeros(0, 6), cloud_of(50, 0))])
def test_training_survives_hardly_any_points(clouds, overlapping):
    model = encoder(overlapping=overlapping).train()
    result = model(batch_of(*clouds))
    (result.features.square().mean() + sum(level.square().mean() for level in maps_of(result))).backward()
    assert result.features.isfinite().all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_height_matters_and_is_limited():
    model = encoder().eval()
    high, low, outside = POINT.clone(), POINT.clone(), POINT.clone()
    high[0, 2], low[0, 2], outside[0, 2] = 3.4, -1.2, 4.0
    with torch.no_grad():
        results = [model(batch_of(cloud)) for cloud in (high, low, outside, torch.zeros(0, 6))]
    assert not torch.allclose(results[0].features, results[1].features)
    assert torch.equal(results[2].features, results[3].features) and not results[2].observed.any()


def test_mixed_precision_leaves_the_sparse_half_alone():
    model = encoder().eval()
    batch = batch_of(cloud_of(500, 0))
    plain = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(batch)
    assert mixed.features.dtype == torch.bfloat16
    for a, b in zip(maps_of(plain)[:-1], maps_of(mixed)[:-1], strict=True):
        assert b.dtype == torch.float32 and torch.equal(a, b)
    assert not torch.equal(plain.features, mixed.features)
    bound = 8 * 2**-8 * plain.features.abs().max()  # a few roundings to eight bits, one a layer
    assert (plain.features - mixed.features).abs().max() < bound


def left_of(model: LidarEncoder, batch: Batch, share: float) -> Points:
    tokens = model.tokenise(batch).without(share)
    return tokens.points.selected(tokens.kept)


def cloud_inside(count: int, seed: int) -> Tensor:
    """All of its points lie in the grid."""
    cloud = cloud_of(count, seed)
    cloud[:, :3] *= torch.tensor([0.9, 0.85, 0.7])
    return cloud


class TestInputDropout:
    def test_takes_its_share_and_leaves_the_rest_as_it_was(self):
        batch = batch_of(cloud_inside(20_000, 0), cloud_inside(10_000, 1))
        thin = left_of(encoder(), batch, 0.4)
        counts = torch.bincount(thin.batch_index)
        assert abs(counts[0] / 20_000 - 0.6) < 0.02 and abs(counts[1] / 10_000 - 0.6) < 0.02
        before = {tuple(row) for row in batch.lidar.features.tolist()}
        assert all(tuple(row) in before for row in thin.features.tolist())
        assert (thin.batch_index.diff() >= 0).all()

    def test_whole_beams(self):
        model = encoder(thin_by_beam=1.0)
        cloud = cloud_inside(3200, 0)
        left = []
        for seed in range(60):
            rings = left_of(model, batch_of(cloud, seeds=[seed]), 0.4).features[:, 5]
            kept = cloud[torch.isin(cloud[:, 5], rings.unique())]
            assert len(kept) == len(rings), "a beam was thinned and not dropped"
            left.append(len(rings) / len(cloud))
        assert abs(np.mean(left) - 0.6) < 0.04 and np.std(left) > 0.04

    def test_half_by_beam_drops_the_same_share(self):
        model = encoder(thin_by_beam=0.5)
        cloud = cloud_inside(3200, 0)
        left = [len(left_of(model, batch_of(cloud, seeds=[s]), 0.4).features) / 3200 for s in range(60)]
        assert abs(np.mean(left) - 0.6) < 0.04

    def test_depends_on_the_seed_alone(self):
        model = encoder(thin_by_beam=0.3)
        first, second = cloud_inside(500, 0), cloud_inside(300, 1)
        together = left_of(model, batch_of(first, None, second, seeds=[5, 6, 7]), 0.5)
        alone = left_of(model, batch_of(second, seeds=[7]), 0.5)
        other = left_of(model, batch_of(second, seeds=[8]), 0.5)
        assert torch.equal(together.features[together.batch_index == 2], alone.features)
        assert not torch.equal(alone.features, other.features)

    @pytest.mark.parametrize(("input_dropout", "left"), [(0.0, 300), (1.0, 0)])
    def test_nothing_and_everything(self, input_dropout, left):
        for by_beam in (0.0, 1.0):
            thin = left_of(encoder(thin_by_beam=by_beam), batch_of(cloud_inside(300, 0), None), input_dropout)
            assert len(thin.features) == left and thin.present.tolist() == [True, False]


def without_lidar() -> Batch:
    batch = batch_of(POINT)
    return Batch(batch.tokens, batch.scenes, batch.seeds, batch.global_from_level, batch.bev_from_level)


@pytest.mark.parametrize(
    "call",
    [lambda m, b: m(b), lambda m, b: m.tokenise(b)],
    ids=["run", "tokens"],
)
def test_a_batch_without_lidar_is_named(call: Callable[[LidarEncoder, Batch], Any]):
    with pytest.raises(UserError, match="no lidar data in the batch of token0"):
        call(encoder(), without_lidar())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voxel_size": 0.2}, r"voxel_size 0\.2 m times strides \[1, 2, 2\] gives cells of 0\.8 m.*is 1\.6 m"),
        ({"strides": (1, 2)}, "same number of entries"),
        ({"bev_blocks": (1,)}, "same number of entries"),
        ({"z_range": (-2.0, 4.1)}, "whole number"),
        ({"z_range": (-2.0, 3.0)}, "10 layers .* do not divide"),
        ({"thin_by_beam": 1.5}, "thin_by_beam: must be at least 0 and at most 1, got 1.5"),
    ],
)
def test_numbers_that_do_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        encoder(**changes)


def preset(name: str) -> LidarEncoder:
    file = Path(__file__).parents[3] / "configs" / "encoder" / f"{name}.yaml"
    entry = yaml.safe_load(file.read_text())
    model = build(SensorEncoder, entry, file.name)
    assert isinstance(model, LidarEncoder)
    return model


@pytest.mark.parametrize(("name", "millions"), [("lidar_tiny", (0.3, 0.9)), ("lidar_base", (4, 10))])
def test_presets_share_the_token_grid(name, millions):
    model = preset(name)
    assert model.token_grid.shape == (128, 128)
    assert millions[0] < sum(p.numel() for p in model.parameters()) / 1e6 < millions[1]


def test_tiny_on_a_real_cloud(realdata: Path):
    file = next((realdata / "nuscenes_keyframe/samples/LIDAR_TOP").glob("*.pcd.bin"))
    raw = torch.from_numpy(np.fromfile(file, dtype=np.float32).reshape(-1, 5))
    # the sensor looks along -y of the car, 1.84 m above the ground
    columns = (raw[:, 1], -raw[:, 0], raw[:, 2] + 1.84, raw[:, 3] / 255, torch.zeros(len(raw)), raw[:, 4])
    model = preset("lidar_tiny").eval()
    with torch.no_grad():
        result = model(batch_of(torch.stack(columns, dim=1)))
    assert result.features.isfinite().all() and 0.1 < result.observed.float().mean() < 0.5


@pytest.mark.parametrize(("overlapping", "voxel_height"), [(True, 6.0), (False, 1.5)])
def test_one_layer_of_voxels_is_enough(overlapping, voxel_height):
    """AD-L-JEPA divides the height bins by eight; here one bin, or one bin a stride, makes pillars."""
    model = encoder(overlapping=overlapping, voxel_height=voxel_height).train()
    features = model(batch_of(cloud_of(300, 0), cloud_of(200, 1))).features
    features.square().mean().backward()
    assert features.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
