"""Which patches see which cells, against dense sampling of every column."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avjepa.encoders.camera.geometry import NEAREST_DEPTH, PatchViews
from tests.encoders.camera.camera_rig import GRID, HEIGHT, WIDTH, Array, bev_from_camera, intrinsics, projected, rig

COLUMN, PATCH = (0.0, 2.0), 16


def column_samples(row: int, column: int, count: int = 9) -> Array:
    """Points filling a cell's column, its faces included."""
    steps = np.linspace(0, 1, count)
    x = GRID.x_min + (column + steps) * GRID.cell
    y = GRID.y_min + (row + steps) * GRID.cell
    z = COLUMN[0] + steps * (COLUMN[1] - COLUMN[0])
    return np.stack(np.meshgrid(x, y, z), axis=-1).reshape(-1, 3)


def sampled_pixels(row: int, column: int, view: int, count: int = 9) -> Array:
    """Pixels of the column's samples that fall into the image."""
    pixels, depth = projected(column_samples(row, column, count), bev_from_camera(view), intrinsics(view))
    with np.errstate(invalid="ignore"):
        kept = (depth >= NEAREST_DEPTH) & ((pixels >= 0) & (pixels < (WIDTH, HEIGHT))).all(1)
    return pixels[kept]


@pytest.fixture(scope="module")
def views() -> PatchViews:
    return PatchViews.of(rig(), GRID, COLUMN, PATCH)


def test_rectangles_hold_every_patch_that_sees_the_column_and_hardly_more(views: PatchViews) -> None:
    random = np.random.default_rng(0)
    seen = unseen_patches = patches = 0
    near = [(14, 23), (15, 23), (16, 23), (14, 20), (15, 18), (16, 18)]  # cut by the near planes of some camera
    drawn = [(int(random.integers(GRID.shape[0])), int(random.integers(GRID.shape[1]))) for _ in range(150)]
    for row, column in near + drawn:
        for view in range(6):
            sampled = (sampled_pixels(row, column, view) // PATCH).astype(int)
            if not len(sampled):
                continue
            seen += 1
            assert views.seen[0, view, row, column]
            first, last = views.first[:, 0, view, row, column].numpy(), views.last[:, 0, view, row, column].numpy()
            assert (sampled[:, ::-1] >= first).all() and (sampled[:, ::-1] <= last).all()
            patches += int(np.prod(last - first + 1))
            unseen_patches += int(np.prod(last - first + 1)) - len(np.unique(sampled, axis=0))
    assert seen > 120
    assert unseen_patches < 0.35 * patches  # corners of the rectangle, and faces between samples


def test_a_cell_that_no_sample_shows_is_seen_at_most_at_the_images_edge(views: PatchViews) -> None:
    doubtful = 0
    for row in range(0, GRID.shape[0], 3):
        for column in range(0, GRID.shape[1], 3):
            for view in range(6):
                if views.seen[0, view, row, column] and not len(sampled_pixels(row, column, view, 13)):
                    first, last = views.first[:, 0, view, row, column], views.last[:, 0, view, row, column]
                    at_edge = (first == 0).any() or last[0] == HEIGHT // PATCH - 1 or last[1] == WIDTH // PATCH - 1
                    assert at_edge
                    doubtful += 1
    assert doubtful < 12


def test_absent_cameras_see_nothing() -> None:
    cameras = rig(batch=2)
    present = cameras.present.clone()
    present[1, 2:] = False
    views = PatchViews.of(replace(cameras, present=present), GRID, COLUMN, PATCH)
    assert views.seen[0].flatten(1).any(1).all()
    assert not views.seen[1, 2:].any() and views.seen[1, :2].flatten(1).any(1).all()


def test_counts_and_lost_views_equal_those_counted_cell_by_cell(views: PatchViews) -> None:
    random = torch.Generator().manual_seed(1)
    cells = torch.rand(1, *GRID.shape, generator=random) < 0.1
    masked = torch.rand(1, 6, HEIGHT // PATCH, WIDTH // PATCH, generator=random) < 0.6
    count = torch.zeros(1, 6, HEIGHT // PATCH, WIDTH // PATCH, dtype=torch.int64)
    visible = torch.zeros(1, *GRID.shape, dtype=torch.bool)
    for view, row, column in views.seen[0].nonzero().tolist():
        top, left = views.first[:, 0, view, row, column].tolist()
        bottom, right = views.last[:, 0, view, row, column].tolist()
        count[0, view, top : bottom + 1, left : right + 1] += cells[0, row, column]
        visible[0, row, column] |= bool((~masked[0, view, top : bottom + 1, left : right + 1]).any())
    torch.testing.assert_close(views.cells_per_patch(cells), count)
    torch.testing.assert_close(views.cells_seen(masked), visible)
    torch.testing.assert_close(views.cells_seen(), views.seen.any(1))
    assert 0 < visible.sum() < views.seen.any(1).sum()
