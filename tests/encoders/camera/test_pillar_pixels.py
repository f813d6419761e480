"""The camera's generative target, against projections in float64, and that hidden pixels reach it from nowhere else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avjepa import cli
from avjepa.commands.configurations import load_config as configuration
from avjepa.commands.configurations import merged
from avjepa.data.sample import Cameras, PretrainBatch
from avjepa.encoders.camera.encoder import CameraEncoder
from avjepa.encoders.camera.geometry import PatchViews
from avjepa.encoders.camera.pillar_pixels import PillarPixels
from avjepa.errors import UserError
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.objectives.occupancy import OccupancyReconstruction
from avjepa.pretrain.objectives.predictor import PredictorOptions
from tests.data.conftest import VERSION, tiny
from tests.encoders.camera.camera_rig import (
    GRID,
    HEIGHT,
    WIDTH,
    Array,
    batch_of,
    bev_from_camera,
    encoder,
    intrinsics,
    projected,
    rig,
)

__all__ = ["tiny"]
CONFIGS = Path(__file__).resolve().parents[3] / "configs"
AUGMENTATION = np.array([[0.9, 0.35, 0.0, 0.6], [0.35, -0.9, 0.0, -0.4], [0.0, 0.0, 0.96, 0.1], [0.0, 0.0, 0.0, 1.0]])
"""Turned, mirrored, scaled and shifted."""
GREY, COLOUR = (128, 128, 128), (250, 20, 60)


def in_imagenet_units(colour: tuple[int, int, int]) -> Array:
    return np.asarray((np.array(colour) / 255 - 0.45) / 0.225)


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("cropped", [False, True])
def test_a_coloured_square_is_found_in_the_bins_that_project_to_it(augmented: bool, cropped: bool) -> None:
    """One camera shows a coloured square, all else is grey; every bin of every cell is looked up by hand."""
    bev_from_level = AUGMENTATION if augmented else np.eye(4)
    target = PillarPixels(z_min=-0.2, z_max=1.4, height_bins=2, stride=2, normalised=False)
    heights, marked, side = (0.2, 1.0), 4, 14
    place = np.array([[-1.4, 8.2, 0.2]]) @ bev_from_level[:3, :3].T + bev_from_level[:3, 3]  # left of the vehicle
    poses = [bev_from_level @ bev_from_camera(view) for view in range(6)]
    middle = projected(place, poses[marked], intrinsics(marked))[0][0].round()
    images = np.empty((6, 3, HEIGHT, WIDTH), dtype=np.uint8)
    images[:] = np.array(GREY)[:, None, None]
    left, top = (int(value) - side for value in middle)
    images[marked, :, top : top + 2 * side, left : left + 2 * side] = np.array(COLOUR)[:, None, None]
    crop = np.eye(3)
    shown = images
    if cropped:  # 8 rows at the top, 12 and 8 columns at the sides; then mirrored
        shown = images[:, :, 8:, 12:-8][..., ::-1]
        crop = np.array([[-1.0, 0.0, WIDTH - 20 + 12], [0.0, 1.0, -8.0], [0.0, 0.0, 1.0]])
    matrices = np.stack([crop @ intrinsics(view) for view in range(6)])
    cameras = Cameras(
        torch.from_numpy(shown.copy())[None],
        torch.from_numpy(matrices).float()[None],
        torch.from_numpy(np.stack(poses)).float()[None],
        torch.ones(1, 6, dtype=torch.bool),
    )
    content = target.of(batch_of(cameras), GRID)
    assert content.values.shape == (1, *GRID.shape, target.channels + 2)

    rows, columns = GRID.shape
    x, y = np.meshgrid(GRID.x_min + (np.arange(columns) + 0.5) * 0.8, GRID.y_min + (np.arange(rows) + 0.5) * 0.8)
    found, any_seen = [0, 0], np.zeros((rows, columns), dtype=bool)
    for level, height in enumerate(heights):
        points = np.stack((x, y, np.full_like(x, height)), axis=-1).reshape(-1, 3)
        seen, coloured = np.zeros((6, rows * columns), bool), np.zeros((6, rows * columns), bool)
        unsure = np.zeros(rows * columns, bool)
        for view in range(6):
            pixels, depth = projected(points, poses[view], intrinsics(view))
            low, high = ((12, 8), (WIDTH - 8, HEIGHT)) if cropped else ((0, 0), (WIDTH, HEIGHT))
            with np.errstate(invalid="ignore"):
                seen[view] = (depth >= 1) & (pixels >= low).all(1) & (pixels < high).all(1)
                inwards = side - np.abs(pixels - middle).max(1)  # pixels from the square's edge
                coloured[view] = (view == marked) & seen[view] & (inwards > 0)
                unsure |= (view == marked) & seen[view] & (np.abs(inwards) < 4)
        number = seen.sum(0)
        share = coloured.sum(0) / number.clip(min=1)
        expected = np.outer(share, in_imagenet_units(COLOUR)) + np.outer(1 - share, in_imagenet_units(GREY))
        expected[number == 0] = 0
        values = content.values[0, ..., 3 * level : 3 * level + 3].flatten(0, 1).numpy()
        np.testing.assert_allclose(values[~unsure], expected[~unsure], atol=1e-4)
        np.testing.assert_array_equal(content.values[0, ..., 6 + level].flatten().numpy(), number > 0)
        found[level] = int((coloured.any(0) & ~unsure).sum())
        any_seen |= (number > 0).reshape(rows, columns)
        if level == 0:
            row, column = int((place[0, 1] - GRID.y_min) // 0.8), int((place[0, 0] - GRID.x_min) // 0.8)
            assert (coloured.any(0) & ~unsure).reshape(rows, columns)[row, column]
    assert min(found) > 3
    np.testing.assert_array_equal(content.valid[0].numpy(), any_seen)
    assert torch.equal(content.occupied, content.valid)


def test_a_column_is_normalised_as_a_patch_of_mae() -> None:
    cameras = rig()
    target = PillarPixels(stride=1)
    content = target.of(batch_of(cameras), GRID)
    colour = content.values[0, ..., : target.channels].unflatten(-1, (6, 3))
    seen = content.values[0, ..., target.channels :].bool()
    columns = [colour[y, x][seen[y, x]] for y, x in content.valid[0].nonzero().tolist()]
    assert len(columns) > 500
    assert max(float(column.mean().abs()) for column in columns) < 1e-5
    assert np.median([float(column.var(correction=0)) for column in columns]) == pytest.approx(1, abs=0.02)
    assert float(colour[~seen].abs().sum()) == 0

    wall = replace(cameras, images=torch.full_like(cameras.images, 90) + cameras.images % 2)
    grain = PillarPixels().of(batch_of(wall), GRID).values[..., : target.channels]
    assert float(grain.square().mean()) < 0.05, "grain of one grey level is no contrast"


def test_where_no_camera_looks_nothing_is_known() -> None:
    one = batch_of(rig(views=(0,)))
    content = PillarPixels().of(one, GRID)
    ahead = torch.from_numpy(GRID.centres()[..., 0].numpy() > 1.7)
    assert content.valid[0][ahead].float().mean() > 0.3
    assert not content.valid[0][~ahead].any()
    assert content.values.isfinite().all()

    cameras = rig(batch=2)
    present = cameras.present.clone()
    present[1] = False
    content = PillarPixels().of(batch_of(replace(cameras, present=present), seeds=(1, 2)), GRID)
    assert content.valid[0].any() and not content.valid[1].any()
    with pytest.raises(UserError, match="PillarPixels: no camera data in the batch of token-0; add camera"):
        PillarPixels().of(batch_of(None), GRID)


def test_the_distance_counts_seen_bins_alone() -> None:
    target = PillarPixels()
    content = target.of(batch_of(rig(views=(0, 1))), GRID)
    seen = content.values[..., target.channels :].repeat_interleave(3, -1).bool()
    partly = content.valid & ~seen.all(-1)
    assert partly.any()
    perfect = content.values[..., : target.channels]

    def distance(prediction: torch.Tensor) -> torch.Tensor:
        rows = (x.flatten(0, 2) for x in (prediction, content.values, content.occupied))
        return target.distance(*rows).view_as(content.valid)

    assert float(distance(torch.where(seen, perfect, 7.0)).max()) == 0
    torch.testing.assert_close(distance(perfect + 2), torch.where(content.valid, 4.0, 0.0))


def objective(normalised: bool = True) -> OccupancyReconstruction:
    target, decoder = PillarPixels(normalised=normalised), PredictorOptions(24, (1, 2, 4))
    return OccupancyReconstruction(encoder(), MultiBlock(sides=(1.6, 4.8)), target, decoder, input_dropout=0.2)


def test_a_hidden_cells_pixels_are_in_the_target_and_not_in_the_context() -> None:
    model = objective(normalised=False).eval()
    batch = batch_of(rig())
    assert batch.cameras is not None
    assert isinstance(model.encoder, CameraEncoder) and isinstance(model.reconstruction_target, PillarPixels)
    output = model(PretrainBatch(batch, batch))
    content = model.reconstruction_target.of(batch, GRID)
    masked = output.embeddings.masked & content.valid
    assert masked.any()
    patch = model.encoder.backbone.patch
    views = PatchViews.of(batch.cameras, GRID, model.encoder.column, patch)
    covered = (views.cells_per_patch(output.embeddings.masked) > 0).repeat_interleave(patch, 2)
    covered = covered.repeat_interleave(patch, 3)[..., :HEIGHT, :WIDTH]

    def changed(pixels: torch.Tensor) -> PretrainBatch:
        images = torch.where(pixels[:, :, None], 255 - batch.cameras.images, batch.cameras.images)
        other = replace(batch, cameras=replace(batch.cameras, images=images))
        return PretrainBatch(other, other)

    inside = changed(covered)
    assert torch.equal(model(inside).embeddings.context, output.embeddings.context)
    moved = (model.reconstruction_target.of(inside.target, GRID).values - content.values).abs().amax(-1) > 0
    assert moved[masked].all()

    # what the target reads of a hidden cell ends half a stride beyond the hidden patches
    reach = -(-model.reconstruction_target.stride // 2)
    near = torch.nn.functional.max_pool2d(covered.float(), 2 * reach + 1, 1, reach) > 0
    outside = changed(~near)
    assert not torch.equal(model(outside).embeddings.context, output.embeddings.context)
    moved = (model.reconstruction_target.of(outside.target, GRID).values - content.values).abs().amax(-1) > 0
    assert moved.any() and not moved[masked].any()


def painted(seed: int) -> PretrainBatch:
    """The eight worlds of one colour, each channel of which is dark or bright, in an order of the seed's."""
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    bright = torch.stack((order // 4, order // 2 % 2, order % 2), dim=1)
    images = (40 + 175 * bright).to(torch.uint8)[:, None, :, None, None].repeat(1, 2, 1, HEIGHT, WIDTH)
    batch = batch_of(rig(images, batch=8, views=(0, 1)), tuple(range(8 * seed, 8 * seed + 8)))
    return PretrainBatch(batch, batch)


def test_hidden_cells_are_reconstructed_from_the_context_and_from_nothing_else() -> None:
    """Better than the mean colour on masks never seen; worse than it when the context is that of another world."""
    model = objective(normalised=False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = [parameter.detach().clone() for parameter in model.encoder.parameters()]
    for step in range(30):
        loss = model(painted(step)).loss
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        optimiser.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, model.encoder.parameters(), strict=True))

    worlds = painted(100)
    assert worlds.target.cameras is not None
    swapped = replace(worlds.target.cameras, images=worlds.target.cameras.images.roll(1, 0))
    with torch.no_grad():
        right = model(worlds).terms["masked_occupied"]
        wrong = model(PretrainBatch(worlds.context, replace(worlds.target, cameras=swapped))).terms["masked_occupied"]
    trivial = model.weights.occupied * (175 / 2 / 255 / 0.225) ** 2  # half the difference of the two levels
    assert float(right) < 0.75 * trivial
    assert float(wrong) > 1.25 * trivial


def test_the_command_pretrains_a_camera_generatively(tiny: Path, tmp_path: Path) -> None:
    """The overrides of a label-efficiency study, on top of the configuration of the camera's JEPA."""
    reconstruction = {"class_path": "avjepa.encoders.camera.pillar_pixels.PillarPixels"}
    generative = {
        "class_path": "avjepa.pretrain.objectives.occupancy.OccupancyReconstruction",
        "init_args": {"reconstruction_target": reconstruction},
    }
    changes = {"model": {"objective": generative}, "data": {"workers": 0, "batch_size": 2}}
    config = tmp_path / "generative.yaml"
    config.write_text(yaml.safe_dump(merged(configuration(CONFIGS / "pretrain" / "camera_tiny.yaml"), changes)))
    out = tmp_path / "out"
    arguments = ["--config", config, "--data", tiny, "--version", VERSION, "--out", out, "--steps", 3]
    assert cli.main(["pretrain", *map(str, arguments)]) == 0
    assert json.loads((out / "provenance.json").read_text())["finished"] is True
    assert (out / "backbone" / "model.safetensors").is_file()
    used = yaml.safe_load((out / "config.yaml").read_text())["model"]["objective"]["init_args"]
    assert used["reconstruction_target"]["init_args"]["height_bins"] == 6
    assert "target" not in used


@pytest.mark.parametrize("options", [{"z_min": 2.0}, {"height_bins": 0}, {"stride": 0}])
def test_impossible_columns_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="PillarPixels"):
        PillarPixels(**options)
