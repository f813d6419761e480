"""Image backbones: equal to transformers' own, strict about weights, and cheaper where a ViT drops tokens."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoBackbone,
    ConvNextV2Config,
    ConvNextV2ForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
)  # fmt: skip

from avjepa.encoders.camera.image_backbone import ImageBackbone, ImageBackboneOptions
from avjepa.encoders.camera.trunk import IMAGENET_DEVIATION, IMAGENET_MEAN
from avjepa.errors import UserError
from tests.encoders.camera.camera_rig import BACKBONES

CLASSIFIERS: dict[str, tuple[type[Any], type[Any]]] = {
    "resnet": (ResNetConfig, ResNetForImageClassification),
    "convnextv2": (ConvNextV2Config, ConvNextV2ForImageClassification),
    "swin": (SwinConfig, SwinForImageClassification),
    "dinov2": (Dinov2Config, Dinov2ForImageClassification),
    "dinov3_vit": (DINOv3ViTConfig, DINOv3ViTModel),
    "dinov3_convnext": (DINOv3ConvNextConfig, DINOv3ConvNextModel),
}
SIZES = {"dinov2": (56, 84)}


def options(architecture: str, **changes: object) -> ImageBackboneOptions:
    known: dict[str, Any] = {**BACKBONES[architecture], **changes}
    return ImageBackboneOptions(architecture, known["config"], tuple(known["out_indices"]), known["patch"],
                                known.get("weights"))  # fmt: skip


def classifier(architecture: str) -> PreTrainedModel:
    """A model as published checkpoints hold it, with weights that are not at their initial values."""
    torch.manual_seed(1)
    config, model = CLASSIFIERS[architecture]
    built: PreTrainedModel = model(config(**BACKBONES[architecture]["config"]))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return built


def images(architecture: str, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (count, 3, *SIZES.get(architecture, (64, 96))), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_features_of_loaded_weights_equal_those_of_transformers(architecture: str, tmp_path: Path) -> None:
    model = classifier(architecture)
    model.save_pretrained(tmp_path)
    ours = ImageBackbone(options(architecture, config={}, weights=str(tmp_path))).eval()

    indices = list(BACKBONES[architecture]["out_indices"])
    theirs = AutoBackbone.from_config(CLASSIFIERS[architecture][0](**BACKBONES[architecture]["config"],
                                                                   out_indices=indices)).eval()  # fmt: skip
    prefix = f"{theirs.base_model_prefix}."
    tensors = {name: tensor for name, tensor in model.state_dict().items()}
    if architecture not in ("swin", "dinov3_vit", "dinov3_convnext"):  # their backbones keep the prefix
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    incompatible = theirs.load_state_dict(tensors, strict=False)
    assert all(name.startswith("hidden_states_norms") for name in incompatible.missing_keys)

    pixels = images(architecture)
    mean, deviation = torch.tensor(IMAGENET_MEAN)[:, None, None], torch.tensor(IMAGENET_DEVIATION)[:, None, None]
    with torch.no_grad():
        expected = theirs((pixels / 255 - mean) / deviation).feature_maps
        found = ours(pixels)
    assert tuple(values.shape[1] for values in found) == ours.channels
    for stride, one, other in zip(ours.strides, found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        assert one.shape[-2:] == (pixels.shape[-2] // stride, pixels.shape[-1] // stride)


@pytest.mark.parametrize("architecture", ["resnet", "convnextv2", "dinov3_convnext", "efficientnet_lite0"])
def test_features_are_centred_where_origins_say(architecture: str) -> None:
    """The input pixels that move a feature lie evenly about its centre."""
    backbone = ImageBackbone(options(architecture, patch=16)).eval()
    size = 256
    image = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    pixels: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        pixels.append(arguments[0].detach().requires_grad_())
        return pixels[-1], arguments[1]

    backbone.trunk.register_forward_pre_hook(keep)
    for level, (stride, origin) in enumerate(zip(backbone.strides, backbone.origins, strict=True)):
        values = backbone(image)[level]
        row, column = values.shape[-2] // 2, values.shape[-1] // 2
        # noise instead of one cell's value: a maximum pooling lets through one pixel of each window at a time
        reached = torch.zeros(size, size, dtype=torch.bool)
        for channel in range(values.shape[1]):
            (gradient,) = torch.autograd.grad(values[0, channel, row, column], pixels[-1], retain_graph=True)
            reached |= gradient[0].abs().sum(0) > 0
        rows, columns = reached.any(1).nonzero(), reached.any(0).nonzero()
        centre = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
        slack = 1.0 if architecture == "resnet" else 0.0
        assert abs(centre[0] - (origin + stride * row)) <= slack, (level, centre)
        assert abs(centre[1] - (origin + stride * column)) <= slack, (level, centre)


def test_a_vit_saves_the_computation_of_hidden_patches() -> None:
    config = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3, "image_size": 112}
    backbone = ImageBackbone(ImageBackboneOptions("dinov2", config, (2, 4), 14)).eval()
    pixels = torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8)
    masked = torch.zeros(2, 8, 8, dtype=torch.bool)
    masked[:, :, 2:] = True

    def operations(mask: torch.Tensor | None) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            backbone(pixels, mask)
        return int(counter.get_total_flops())

    embedding = 2 * 2 * 64 * 48 * 3 * 14 * 14
    full, kept = operations(None) - embedding, operations(masked) - embedding
    assert kept < 0.3 * full  # 17 of 65 tokens


@pytest.mark.parametrize("architecture", ["dinov2", "dinov3_vit"])
def test_tokens_dropped_in_one_image_do_not_touch_another(architecture: str) -> None:
    backbone = ImageBackbone(options(architecture)).eval()
    pixels = images(architecture)
    masked = torch.zeros(2, 4, 6, dtype=torch.bool)
    masked[0, :3] = True
    masked[1, 0, 0] = True
    with torch.no_grad():
        together = backbone(pixels, masked)
        for number in range(2):
            alone = backbone(pixels[number : number + 1], masked[number : number + 1])
            for one, other in zip(together, alone, strict=True):
                torch.testing.assert_close(one[number], other[0], atol=1e-5, rtol=1e-5)
        everything = backbone(pixels, torch.ones_like(masked))
    torch.testing.assert_close(everything[0], backbone.trunk.token[None, :, None, None].expand_as(everything[0]))


@pytest.mark.parametrize("architecture", BACKBONES)
def test_the_token_stands_where_patches_are_hidden_and_nowhere_else(architecture: str) -> None:
    backbone = ImageBackbone(options(architecture)).eval()
    masked = torch.zeros(
        2, *(-(-side // backbone.patch) for side in SIZES.get(architecture, (64, 96))), dtype=torch.bool
    )
    for some, trained in ((False, False), (True, True)):
        masked[1, 0, 0] = some
        backbone.zero_grad()
        sum(values.square().sum() for values in backbone(images(architecture), masked)).backward()
        assert bool(backbone.trunk.token.grad.any()) == trained


def test_images_of_any_size_are_extended_to_whole_cells() -> None:
    backbone = ImageBackbone(options("resnet")).eval()
    odd = torch.randint(0, 256, (1, 3, 50, 75), dtype=torch.uint8)
    maps = backbone(odd)
    assert [values.shape[-2:] for values in maps] == [(16, 20), (8, 10), (4, 5)]


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_weights_must_fit_to_the_tensor(architecture: str, tmp_path: Path) -> None:
    classifier(architecture).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    endings = (
        "convolution.weight", "pwconv1.weight", "depthwise_conv.weight", "norm1.weight", "before.weight"
    )  # fmt: skip
    name = next(n for n in tensors if n.endswith(endings))

    def load() -> None:
        ImageBackbone(options(architecture, config={}, weights=str(tmp_path)))

    load()
    tail = name.split(".")[-2]
    for change, message in (
        ({name: tensors[name][:-1].clone()}, f"misshapen: .*{tail}"),
        ({"encoder.extra.weight": torch.zeros(2)}, r"1 unexpected: .*extra\.weight"),
    ):
        save_file({**tensors, **change}, file, metadata={"format": "pt"})
        with pytest.raises(UserError, match=message):
            load()
    save_file({n: t for n, t in tensors.items() if n != name}, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 missing: .*weight"):
        load()


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    def load(architecture: str = "resnet") -> None:
        ImageBackbone(options(architecture, config={}, weights=str(tmp_path)))

    with pytest.raises(UserError, match=r"config\.json: no such file"):
        load()
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load()
    classifier("resnet").save_pretrained(tmp_path)
    with pytest.raises(UserError, match="model_type is resnet, not swin"):
        load("swin")
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(UserError, match=r"model\.safetensors: cannot be loaded"):
        load()
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"model\.safetensors: no such file"):
        load()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"dephts": [1]}}, "no entry dephts"),
        ({"out_indices": [3, 2]}, "ascending"),
        ({"out_indices": [0, 1]}, "ascending"),
        ({"out_indices": [2, 9]}, "does not take this configuration"),
        ({"patch": 6}, "no multiple of the stem's stride"),
    ],
)
def test_impossible_options_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ImageBackbone(options("resnet", **changes))


def test_self_contained_options_hold_the_configuration_of_the_folder(tmp_path: Path) -> None:
    classifier("convnextv2").save_pretrained(tmp_path)
    backbone = ImageBackbone(options("convnextv2", config={"drop_path_rate": 0.1}, weights=str(tmp_path)))
    alone = backbone.self_contained_options
    assert alone.weights is None and alone.config["drop_path_rate"] == 0.1
    json.dumps(alone.config)
    assert ImageBackbone(alone).state_dict().keys() == backbone.state_dict().keys()
