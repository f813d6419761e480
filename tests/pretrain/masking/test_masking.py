import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.pretrain.masking.generators import (
    MaskGenerator,
    MultiBlock,
    OcclusionSectors,
    RandomCells,
)

GENERATORS = {
    "cells": lambda o, e: RandomCells(o, e),
    "blocks": lambda o, e: MultiBlock(o, e),
    "large blocks": lambda o, e: MultiBlock(o, e, sides=(12.0, 14.0)),
    "sectors": lambda o, e: OcclusionSectors(o, e),
}
OFF_CENTRE = BEVGrid(-10.0, 30.0, -6.0, 12.0, 1.0)


def draw(masks: MaskGenerator, occupied: Tensor, seeds: list[int], grid: BEVGrid) -> Tensor:
    sensor = torch.zeros(len(seeds), 2)
    return masks.sample(occupied, torch.tensor(seeds, dtype=torch.int64), grid, sensor)


def uniform(grid: BEVGrid, share: float, samples: int, seed: int = 0) -> Tensor:
    return torch.rand(samples, *grid.shape, generator=torch.Generator().manual_seed(seed)) < share


@pytest.mark.parametrize("name", GENERATORS)
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    ratio=st.floats(0.05, 0.95),
    empty_ratio=st.floats(0.0, 0.95),
    seed=st.integers(-(2**63), 2**63 - 1),
)
def test_ratios_hold_in_every_sample(
    name: str, rows: int, columns: int, share: float, ratio: float, empty_ratio: float, seed: int
) -> None:
    """AD-L-JEPA's ratio held per batch (defect 7): here each sample hides its own share, of each kind of cell."""
    grid = BEVGrid(-3.0, -3.0 + columns, -4.0, -4.0 + rows, 1.0)
    occupied = uniform(grid, share, 3, seed=abs(seed) % 1000)
    masked = draw(GENERATORS[name](ratio, empty_ratio), occupied, [seed, seed ^ 1, 7], grid)
    for full, mask in zip(occupied, masked, strict=True):
        n, m = int(full.sum()), int((~full).sum())
        if n >= 2:
            assert int((mask & full).sum()) == min(max(round(ratio * n), 1), n - 1)
            assert int((mask & ~full).sum()) == round(empty_ratio * m)
        else:
            assert not (mask & full).any(), "the only occupied cell stays visible"
            assert abs(int((mask & ~full).sum()) - empty_ratio * m) <= 1
        if n + m >= 2:
            assert mask.any()
            assert (~mask).any()


@pytest.mark.parametrize("name", GENERATORS)
def test_mask_depends_on_the_sample_alone(name: str) -> None:
    """Equal whatever batch the sample is in, so whatever the number of processes; different for another seed."""
    masks = GENERATORS[name](0.5, 0.5)
    occupied = uniform(OFF_CENTRE, 0.3, 4)
    together = draw(masks, occupied, [5, 6, 7, 8], OFF_CENTRE)
    alone = torch.cat([draw(masks, occupied[i : i + 1], [5 + i], OFF_CENTRE) for i in (2, 0)])
    assert torch.equal(alone, together[[2, 0]])
    other = draw(masks, occupied, [105, 106, 107, 108], OFF_CENTRE)
    assert (other != together).flatten(1).any(1).all()


@pytest.mark.parametrize("name", ["cells", "blocks", "large blocks"])
def test_border_cells_are_hidden_as_often_as_others(name: str) -> None:
    grid = BEVGrid(-8.0, 8.0, -10.0, 10.0, 1.0)
    masks = GENERATORS[name](0.5, 0.5)
    count = 1500
    often = draw(masks, torch.ones(count, *grid.shape, dtype=torch.bool), list(range(count)), grid).float().mean(0)
    # the ratio is exact, so cells are a little anticorrelated: a binomial spread is an upper bound
    spread = 5 * (0.25 / count) ** 0.5
    assert (often - 0.5).abs().max() < spread


@pytest.mark.parametrize("name", GENERATORS)
def test_every_cell_can_be_hidden_and_visible(name: str) -> None:
    count = 300
    masked = draw(GENERATORS[name](0.5, 0.5), uniform(OFF_CENTRE, 0.3, count), list(range(count)), OFF_CENTRE)
    # nothing can stand between the sensor and the cells around it: no shadow ever falls there
    shaded = OFF_CENTRE.centres().norm(dim=-1) > (4.0 if name == "sectors" else 0.0)
    assert masked.any(0)[shaded].all()
    assert not masked.all(0).any()


def inner_share(masked: Tensor) -> float:
    """Share of hidden cells all of whose eight neighbours are masked."""
    neighbours = torch.nn.functional.avg_pool2d(masked[:, None].float(), 3, 1, 1, count_include_pad=False)
    return float((neighbours[:, 0] > 0.999)[masked].float().mean())


def test_blocks_are_more_than_local_inpainting() -> None:
    """Of single cells at ratio 1/2 a share of 1/2^8 has no visible neighbour to copy from (defect 12)."""
    grid = BEVGrid(-16.0, 16.0, -16.0, 16.0, 0.5)
    occupied = uniform(grid, 0.3, 20)
    seeds = list(range(20))
    assert inner_share(draw(RandomCells(), occupied, seeds, grid)) < 0.02
    assert inner_share(draw(MultiBlock(sides=(2.0, 4.0)), occupied, seeds, grid)) > 0.25
    assert inner_share(draw(MultiBlock(sides=(8.0, 12.0)), occupied, seeds, grid)) > 0.6


def test_block_sides_are_metres() -> None:
    """One block in an empty plane: its area is side², its aspect extent_y / extent_x, at any cell size."""
    for cell in (0.25, 0.5):
        grid = BEVGrid(-20.0, 20.0, -20.0, 20.0, cell)
        masks = MultiBlock(0.5, empty_ratio=0.01, sides=(4.0, 4.0), aspects=(4.0, 4.0))
        masked = draw(masks, torch.zeros(1, *grid.shape, dtype=torch.bool), [3], grid)[0]
        rows, columns = masked.any(1), masked.any(0)
        assert float(rows.sum()) * cell == pytest.approx(8.0, abs=cell)
        assert float(columns.sum()) * cell == pytest.approx(2.0, abs=cell)


def test_occlusion_hides_what_lies_behind_a_visible_thing() -> None:
    """A post ahead of a field: only cells farther away in its direction are masked, on a grid that is not square."""
    grid = BEVGrid(-10.0, 30.0, -6.0, 12.0, 1.0)
    x, y = grid.centres().unbind(-1)
    post = (x == 5.5) & (y == 0.5)
    occupied = (post | (x > 20)).expand(30, -1, -1)
    masks = OcclusionSectors(0.05, 0.0, widths=(2.0, 2.0), lengths=(30.0, 30.0))
    masked = draw(masks, occupied, list(range(30)), grid)
    assert not masked[:, post].any()
    behind = (x > 6) & ((y - 0.5).abs() < 6)
    assert masked.any(0)[behind & (x > 20)].any()
    assert not (masked & (x < 20)).any(), "empty_ratio 0 leaves the free space"
    for mask in masked:
        farthest = torch.hypot(x, y)[mask].min()
        assert (occupied[0] & ~mask & (torch.hypot(x, y) < farthest)).any(), "something visible stands in front"


def test_shadow_has_the_width_of_its_occluder() -> None:
    """An occluder of width w at range r shades 2·atan(w / 2r), wherever the sensor is."""
    grid = BEVGrid(-40.0, 40.0, -30.0, 30.0, 0.5)
    sensor = torch.tensor([[-12.0, 9.0]])
    x, y = (grid.centres() - sensor).unbind(-1)
    occupied = torch.zeros(1, *grid.shape, dtype=torch.bool)
    row_column, _ = grid.cell_of(torch.tensor([[-12.0 + 10, 9.0 - 10]]))
    occupied[0, row_column[0, 0], row_column[0, 1]] = True
    masks = OcclusionSectors(0.5, 0.02, widths=(4.0, 4.0), lengths=(25.0, 25.0))
    masked = masks.sample(occupied, torch.tensor([1]), grid, sensor)[0]
    azimuth = torch.atan2(y, x)[masked] + np.pi / 4
    expected = np.arctan2(2.0, 200**0.5)
    assert float(azimuth.abs().max()) == pytest.approx(expected, abs=0.03)
    assert float(torch.hypot(x, y)[masked].min()) == pytest.approx(200**0.5 + 2.0, abs=0.8)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: RandomCells(1.0), "occupied_ratio"),
        (lambda: MultiBlock(empty_ratio=-0.1), "empty_ratio"),
        (lambda: MultiBlock(sides=(4.0, 2.0)), "sides"),
        (lambda: OcclusionSectors(widths=(0.0, 2.0)), "widths"),
    ],
)
def test_a_wrong_option_is_named(build, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=named):
        build()
