"""The camera encoder: what is hidden cannot reach the output, what is occupied, and batches that lack images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import ResNetConfig, ResNetForImageClassification

from avjepa.bundle.files import save_bundle
from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVMap
from avjepa.encoders.bundled import load_encoder
from avjepa.encoders.camera.encoder import CameraEncoder
from avjepa.errors import UserError
from tests.encoders.camera.camera_rig import BACKBONES, BILINEAR, DEPTH, GRID, HEIGHT, WIDTH, batch_of, encoder, rig
from tests.encoders.camera.test_camera_geometry import sampled_pixels
from tests.encoders.maps import maps_of

ENCODERS = [*((architecture, BILINEAR) for architecture in BACKBONES), ("resnet", DEPTH)]


def block(*rectangles: tuple[slice, slice]) -> Tensor:
    masked = torch.zeros(1, *GRID.shape, dtype=torch.bool)
    for rectangle in rectangles:
        masked[0, *rectangle] = True
    return masked


HIDDEN = block((slice(20, 26), slice(38, 44)), (slice(4, 8), slice(20, 23)), (slice(30, 33), slice(2, 4)))


def pixels_seeing(masked: Tensor) -> Tensor:
    """Every pixel onto which some point of a hidden column projects, found by dense sampling."""
    seeing = torch.zeros(1, 6, HEIGHT, WIDTH, dtype=torch.bool)
    for row, column in masked[0].nonzero().tolist():
        for view in range(6):
            pixels = sampled_pixels(row, column, view, count=12).astype(int)
            seeing[0, view, pixels[:, 1], pixels[:, 0]] = True
    return seeing


def with_images(batch: Batch, images: Tensor) -> Batch:
    assert batch.cameras is not None
    return replace(batch, cameras=replace(batch.cameras, images=images))


def same(one: BEVMap, other: BEVMap) -> bool:
    maps = zip((one.features, *maps_of(one)), (other.features, *maps_of(other)), strict=True)
    return all(torch.equal(a, b) for a, b in maps) and torch.equal(one.observed, other.observed)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("architecture", "lift", "frozen"),
    [
        *((*kind, False) for kind in ENCODERS),
        *((name, BILINEAR, True) for name in ("efficientnet_lite0", "dinov3_vit")),
    ],
)
def test_hidden_columns_cannot_reach_the_output(
    architecture: str, lift: dict[str, object], frozen: bool, training: bool
) -> None:
    backbone = {**_without_randomness(architecture), "frozen": frozen}
    model = encoder(architecture, lift, backbone=backbone).train(training)
    batch = batch_of(rig())
    assert batch.cameras is not None
    images = batch.cameras.images
    seeing = pixels_seeing(HIDDEN)
    assert 0.02 < seeing.float().mean() < 0.6
    changed = torch.where(seeing[:, :, None], 255 - images, images)

    def run(images: Tensor, masked: Tensor | None) -> BEVMap:
        with torch.no_grad():
            result: BEVMap = model(with_images(batch, images), masked)
        return result

    assert same(run(images, HIDDEN), run(changed, HIDDEN))
    assert not torch.allclose(run(images, None).features, run(changed, None).features, atol=1e-4)
    # and what is not hidden still counts
    bottom_left = images.clone()
    bottom_left[0, 3, :, -16:, :16] = 255 - bottom_left[0, 3, :, -16:, :16]
    assert not same(run(images, HIDDEN), run(bottom_left, HIDDEN))


def _without_randomness(architecture: str) -> dict[str, object]:
    options = dict(BACKBONES[architecture])
    random = {"swin": {"drop_path_rate": 0.0}, "dinov3_vit": {"pos_embed_rescale": None}}.get(architecture, {})
    assert isinstance(options["config"], dict)
    options["config"] = {**options["config"], **random}
    return {"architecture": architecture, **options}


@pytest.mark.parametrize("architecture", ["resnet", "efficientnet_lite0"])
def test_no_gradient_reaches_hidden_pixels(architecture: str) -> None:
    """The same fact by differentiation, to the pixel: nothing beyond the hidden patches is lost either."""
    model = encoder(architecture).eval()
    pixels = []

    def keep(module: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        pixels.append(arguments[0].detach().requires_grad_())
        return (pixels[-1],)

    handle = model.backbone.trunk.register_forward_pre_hook(
        lambda module, arguments: (*keep(module, arguments), arguments[1])
    )
    model(batch_of(rig()), HIDDEN).features.square().sum().backward()
    handle.remove()
    gradient = pixels[0].grad.abs().sum(1).view(6, HEIGHT, WIDTH)
    normalised = pixels[0].detach()
    blank = (normalised == 0).all(1)
    assert blank.view(1, 6, HEIGHT, WIDTH)[pixels_seeing(HIDDEN)].all()
    assert gradient[~blank].count_nonzero() > 0.5 * (~blank).sum()


def test_occupied_cells_are_those_that_a_camera_sees() -> None:
    model, batch = encoder().eval(), batch_of(rig())
    occupied = model.tokenise(batch).observed
    torch.testing.assert_close(model(batch).observed, occupied)
    for row in range(1, GRID.shape[0], 6):
        for column in range(1, GRID.shape[1], 6):
            if any(len(sampled_pixels(row, column, view)) for view in range(6)):
                assert occupied[0, row, column]
    ego = GRID.cell_of(torch.tensor([[0.5, 0.0]]))[0][0]
    assert not occupied[0, ego[0], ego[1]]  # the vehicle itself
    assert 0.5 < occupied.float().mean() < 1


def test_cells_that_lose_their_view_with_the_hidden_ones_are_not_occupied() -> None:
    model, batch = encoder().eval(), batch_of(rig())
    left = model(batch, HIDDEN).observed
    lost = model.tokenise(batch).observed & ~left
    assert (left & HIDDEN).sum() == 0
    assert (
        lost.sum() > (HIDDEN & model.tokenise(batch).observed).sum()
    )  # cells behind, whose pixels all see a hidden column
    # a remaining cell has a sample in a patch that sees no hidden column
    seeing = pixels_seeing(HIDDEN)[0].view(6, HEIGHT // 16, 16, WIDTH // 16, 16).any(4).any(2)
    for row, column in left[0].nonzero()[::40].tolist():
        patches = [seeing[view, int(v) // 16, int(u) // 16] for view in range(6)
                   for u, v in sampled_pixels(row, column, view)]  # fmt: skip
        assert not patches or not all(patches)


@pytest.mark.parametrize("hiding", [{"share": 0.5}, {"share": 0.3}, {"blocks": 3, "scale": [0.2, 0.3]}])
def test_maskable_cells_are_exactly_those_that_are_then_lost(hiding: dict[str, object]) -> None:
    model = encoder(hiding=hiding).eval()
    batch = batch_of(rig(batch=3), seeds=(1, 2, 3))
    wanted = torch.nn.functional.interpolate(
        (torch.rand(3, 1, 10, 13, generator=torch.Generator().manual_seed(0)) < 0.5).float(), size=GRID.shape
    )[:, 0].bool()
    tokens = model.tokenise(batch)
    masked, seen = tokens.realisable_mask(wanted), tokens.observed
    share = (masked & seen).sum() / seen.sum()
    assert 0.05 < share < 0.9
    torch.testing.assert_close(model(batch, masked).observed, seen & ~masked)
    if "share" in hiding:
        assert (masked & wanted & seen).sum() > 0.55 * (masked & seen).sum()
        torch.testing.assert_close(masked & ~seen, wanted & ~seen)


def test_patch_blocks_depend_on_the_samples_seed_alone() -> None:
    model = encoder(hiding={"blocks": 4})
    both = batch_of(rig(batch=2), seeds=(7, 8))
    alone = batch_of(rig(), seeds=(8,))
    nothing = torch.zeros(2, *GRID.shape, dtype=torch.bool)
    masked = model.tokenise(both).realisable_mask(nothing)
    torch.testing.assert_close(masked[1:], model.tokenise(alone).realisable_mask(nothing[:1]))
    assert not torch.equal(masked[0], masked[1])


def test_thinning_blanks_the_share_of_patches_by_the_samples_seed() -> None:
    model, batch = encoder(), batch_of(rig(batch=2), seeds=(4, 5))
    assert batch.cameras is not None
    thin = model.tokenise(batch).without(0.4)
    changed = (thin.cameras.images != batch.cameras.images).any(2)
    by_patch = changed.view(2, 6, HEIGHT // 16, 16, WIDTH // 16, 16).float().mean((3, 5))
    assert ((by_patch == 0) | (by_patch > 0.95)).all()  # whole patches; a pixel may have the mean colour already
    assert 0.3 < (by_patch > 0).float().mean() < 0.5
    np.testing.assert_array_equal(thin.cameras.images[:, :, :, changed[0, 0]][0, 0, :, :1].flatten(), (124, 116, 104))
    alone = model.tokenise(batch_of(rig(batch.cameras.images[1:]), seeds=(5,))).without(0.4)
    assert torch.equal(alone.cameras.images[0], thin.cameras.images[1])
    torch.testing.assert_close(thin.observed, model.tokenise(batch).observed)


def test_a_missing_image_changes_nothing_but_its_own_view() -> None:
    model = encoder().eval()
    batch = batch_of(rig(batch=2), seeds=(1, 2))
    assert batch.cameras is not None
    present = batch.cameras.present.clone()
    present[1, 4] = False
    images = batch.cameras.images.clone()
    images[1, 4] = 200
    gone = replace(batch, cameras=replace(batch.cameras, present=present, images=images))
    with torch.no_grad():
        full, lacking = model(batch), model(gone)
        other = model(with_images(gone, torch.where(present[..., None, None, None], images, 7)))
    torch.testing.assert_close(full.features[0], lacking.features[0])
    assert torch.equal(lacking.features, other.features)  # the content of an absent image is never read
    lost = full.observed[1] & ~lacking.observed[1]
    assert lost.any() and torch.equal(full.observed[0], lacking.observed[0])


def test_a_sample_without_images_has_an_empty_map_and_a_batch_without_is_refused() -> None:
    model = encoder()
    cameras = rig(batch=2)
    present = cameras.present.clone()
    present[0] = False
    batch = batch_of(replace(cameras, present=present), seeds=(1, 2))
    result = model(batch)
    assert not result.observed[0].any() and result.observed[1].any()
    assert result.features.isfinite().all()
    with pytest.raises(UserError, match=r"no camera data in the batch of token-0; add camera to data\.sensors"):
        model(batch_of(None))
    nothing = model(batch_of(replace(cameras, present=torch.zeros_like(present)), seeds=(1, 2)))
    assert not nothing.observed.any() and nothing.features.isfinite().all()


@pytest.mark.parametrize(("architecture", "lift"), ENCODERS)
def test_every_parameter_is_trained_with_and_without_hiding(architecture: str, lift: dict[str, object]) -> None:
    """Distributed training stops at a parameter without gradient."""
    for masked in (None, HIDDEN):
        model = encoder(architecture, lift).train()
        result = model(batch_of(rig()), masked)
        assert result.features.shape == (1, model.out_channels, *GRID.shape)
        assert tuple(level.shape[1] for level in maps_of(result)) == model.intermediate_channels
        result.features.square().mean().backward()
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_autocast_leaves_the_geometry_exact() -> None:
    model, batch = encoder(lift=BILINEAR).eval(), batch_of(rig())
    with torch.no_grad():
        exact = model(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(batch)
    assert torch.equal(exact.observed, rough.observed)
    correlation = torch.corrcoef(torch.stack((exact.features.flatten(), rough.features.float().flatten())))[0, 1]
    assert correlation > 0.99  # a lift off by a cell or two falls far below


def test_bundle_restores_the_encoder_without_the_folder_of_image_weights(tmp_path: Path) -> None:
    config = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 2, 1, 1]}
    ResNetForImageClassification(ResNetConfig(**config)).save_pretrained(tmp_path / "resnet")
    backbone = {**BACKBONES["resnet"], "architecture": "resnet", "config": {}, "weights": str(tmp_path / "resnet")}
    model = encoder(backbone=backbone).eval()
    save_bundle(model, tmp_path / "bundle", {})
    (tmp_path / "resnet").rename(tmp_path / "gone")
    restored = load_encoder(tmp_path / "bundle")
    assert isinstance(restored, CameraEncoder)
    with torch.no_grad():
        assert same(model(batch_of(rig())), restored(batch_of(rig())))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": [2.0, 0.0]}, "column"),
        ({"bev_blocks": [1]}, "bev_channels"),
        ({"hiding": {"share": 0.0}}, "share"),
        ({"hiding": {"blocks": 0}}, "blocks"),
    ],
)
def test_impossible_options_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoder(**changes)
