"""What LiDAR points are painted with, against projections in float64 and the image network read by hand."""

import numpy as np
import pytest
import torch

from avjepa.data.sample import Points
from avjepa.encoders.camera.image_backbone import ImageBackboneOptions
from avjepa.encoders.camera.painted_points import PaintedPoints
from avjepa.errors import UserError
from tests.encoders.camera.camera_rig import GRID, HEIGHT, WIDTH, batch_of, bev_from_camera, intrinsics, projected, rig

IMAGE = ImageBackboneOptions(
    "resnet",
    {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1]},
    out_indices=(2,),
    frozen=True,
)


def painted(points: list[tuple[float, float, float, float]], views: tuple[int, ...] = (0,)):  # type: ignore[no-untyped-def]
    """A target of two layers from 0 to 4 m, its map of points (x, y, z, age), and the feature maps of the images."""
    torch.manual_seed(0)
    target = PaintedPoints(GRID, IMAGE, layers=2, z_min=0.0, z_max=4.0, layer_channels=5)
    cameras = rig(views=views)
    features = torch.tensor([(x, y, z, 0.5, age, 0.0) for x, y, z, age in points])
    cloud = Points(features, torch.zeros(len(points), dtype=torch.int64), torch.ones(1, dtype=torch.bool))
    batch = batch_of(cameras)
    batch = type(batch)(**{**vars(batch), "lidar": cloud})
    with torch.no_grad():
        maps = target.image(cameras.images.flatten(0, 1))[0]
    return target, target(batch), maps, batch


def by_hand(target: PaintedPoints, maps: torch.Tensor, place: tuple[float, float, float], view: int) -> torch.Tensor:
    """The projected feature of the map's cell that the point's pixel lies in; the receptive fields start at pixel 0."""
    (uv,), _ = projected(np.array([place]), bev_from_camera(view), intrinsics(view))
    assert 0 < uv[0] < WIDTH and 0 < uv[1] < HEIGHT
    stride = target.image.strides[0]
    column, row = (round((value - target.image.origins[0]) / stride) for value in uv)
    return maps[view, :, row, column] @ target.projection


def test_a_cell_has_the_mean_feature_of_its_points_layer_by_layer() -> None:
    low, high, other = (10.1, 0.3, 0.5), (10.3, 0.1, 3.0), (10.2, 0.2, 1.5)
    target, map_, maps, _ = painted([(*low, 0.0), (*high, 0.0), (*other, 0.0)])
    (row, column), inside = GRID.cell_of(torch.tensor([10.2, 0.2]))
    assert inside and map_.observed.sum() == 1 and map_.observed[0, row, column]
    found = map_.features[0, :, row, column].view(2, 5)
    expected = (by_hand(target, maps, low, 0) + by_hand(target, maps, other, 0)) / 2
    assert torch.allclose(found[0], expected, atol=1e-5)
    assert torch.allclose(found[1], by_hand(target, maps, high, 0), atol=1e-5)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_what_no_camera_sees_another_sweep_and_what_is_too_high_paints_nothing() -> None:
    behind, earlier, above = (-10.0, 0.0, 1.0, 0.0), (10.0, 0.0, 1.0, 0.05), (10.0, 0.0, 4.5, 0.0)
    _, map_, _, _ = painted([behind, earlier, above])
    assert not map_.observed.any() and not map_.features.any()


def test_points_of_masked_cells_paint_nothing() -> None:
    target, map_, _, batch = painted([(10.1, 0.3, 0.5, 0.0), (14.0, 1.0, 0.5, 0.0)])
    assert map_.observed.sum() == 2
    masked = torch.zeros_like(map_.observed)
    masked[0, :, : GRID.cell_of(torch.tensor([12.0, 0.0]))[0][1]] = True
    left = target(batch, masked)
    assert left.observed.sum() == 1 and torch.equal(left.features, map_.features * left.observed[:, None])


def test_it_is_a_target_that_does_not_learn() -> None:
    target = PaintedPoints(GRID, IMAGE)
    assert not any(parameter.requires_grad for parameter in target.parameters())
    with pytest.raises(UserError, match="frozen: true"):
        PaintedPoints(GRID, ImageBackboneOptions("resnet", IMAGE.config, out_indices=(2,)))
    with pytest.raises(UserError, match="lidar"):
        target(batch_of(rig()))
