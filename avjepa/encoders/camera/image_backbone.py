"""Image backbones of Hugging Face transformers, with image patches that can be hidden at the stem."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from avjepa.encoders.camera.image_weights import backbone_config, build_backbone, changed_entries
from avjepa.encoders.layer_order import registration_order
from avjepa.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of RGB in [0, 1]: what the weights of all four families were trained with."""


@dataclass(frozen=True)
class ImageBackboneOptions:
    """Which image backbone.

    Args:
        architecture: family; the model is the one ``transformers.AutoBackbone`` builds, without any network access.
        config: entries of the family's configuration that differ from its defaults (``depths``, ``hidden_sizes``, ...),
            or from the ``config.json`` in ``weights``.
        out_indices: stages that feed the feature pyramid, ascending from 1 on (DINOv2: layers). The pyramid ends at the
            stride of the first; what follows the last is left out.
        patch: side in pixels of the image patches that are hidden as one; a multiple of the stem's stride.
        weights: folder with ``config.json`` and ``model.safetensors`` to start from; random weights without it.
    """

    architecture: Literal["resnet", "convnextv2", "dinov2", "swin"]
    config: dict[str, Any] = field(default_factory=dict)
    out_indices: tuple[int, ...] = (2, 3, 4)
    patch: int = 16
    weights: str | None = None


class ImageBackbone(nn.Module):
    """Feature maps of RGB images at several strides.

    A hidden patch cannot reach the output: its pixels become the mean colour before the stem, whose kernel may reach
    over the patch's edge, and the stem's output there becomes a learnable token. A ViT (DINOv2) drops the patch's
    tokens instead, so hiding saves their computation; the learnable token takes their place in the output.

    Attributes:
        self_contained_options: options that build the same module without the folder of weights.
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
        config = backbone_config(options.architecture, options.config, options.out_indices, options.weights)
        self.self_contained_options = replace(options, config=changed_entries(config), weights=None)
        trunk = _TRUNKS[options.architecture]
        self.trunk = trunk(build_backbone(config, options.weights), options.out_indices)
        if options.patch <= 0 or options.patch % self.trunk.stem_stride:
            raise UserError(
                f"backbone.patch: {options.patch} pixels is no multiple of the stem's stride of "
                f"{self.trunk.stem_stride} pixels of {options.architecture}; choose a multiple"
            )
        self.patch = options.patch
        self.channels = self.trunk.channels
        self.strides = self.trunk.strides
        self.origins = tuple(self.trunk.origin_of(stride) for stride in self.strides)
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", 255 * torch.tensor(IMAGENET_DEVIATION)[:, None, None], persistent=False)

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
        if masked is None:
            maps: tuple[Tensor, ...] = self.trunk(pixels, None)
            return maps
        stride = self.trunk.stem_stride
        covered = _enlarged(masked, self.patch // stride, (pixels.shape[-2] // stride, pixels.shape[-1] // stride))
        pixels = pixels.masked_fill(_enlarged(covered, stride, (pixels.shape[-2], pixels.shape[-1]))[:, None], 0.0)
        maps = self.trunk(pixels, covered)
        return maps


def _enlarged(mask: Bool[Tensor, "image row column"], factor: int, shape: tuple[int, int]) -> Tensor:
    """A mask with ``factor`` times as many rows and columns, cut or extended with False to ``shape``."""
    large = mask.repeat_interleave(factor, 1).repeat_interleave(factor, 2)[:, : shape[0], : shape[1]]
    return nn.functional.pad(large, (0, shape[1] - large.shape[2], 0, shape[0] - large.shape[1]))


class _Trunk(nn.Module, ABC):
    """The parts of a transformers backbone up to the last wanted stage, with a token for what is hidden at the stem."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    stem_stride: int

    def _add_token(self, channels: int) -> None:
        self.token = nn.Parameter(torch.zeros(channels))
        nn.init.trunc_normal_(self.token, std=0.02)

    def _with_token(self, values: Tensor, masked: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        """``values`` with the token, viewed in ``shape``, where ``masked``."""
        token = self.token.view(shape).to(values.dtype)
        if (
            masked is None
        ):  # the token takes part all the same: distributed training wants a gradient for every parameter
            return values + 0 * token
        return torch.where(masked, token, values)

    def origin_of(self, stride: int) -> float:
        """Image coordinate of the centre of the first cell of a map."""
        return stride / 2

    @abstractmethod
    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""


class _ConvolutionalTrunk(_Trunk):
    """ResNet (1512.03385) and ConvNeXtV2 (2301.00808)."""

    def __init__(self, backbone: Any, out_indices: tuple[int, ...]) -> None:
        super().__init__()
        config = backbone.config
        self.is_resnet = config.model_type == "resnet"
        self.stem: nn.Module = backbone.embedder if self.is_resnet else backbone.embeddings
        self.stem_stride = 4 if self.is_resnet else config.patch_size
        self.stages = backbone.encoder.stages[: out_indices[-1]]
        norms = None if self.is_resnet else backbone.hidden_states_norms
        self.outputs = nn.ModuleDict(
            {str(index): nn.Identity() if norms is None else norms[f"stage{index}"] for index in out_indices}
        )
        self.channels = tuple(backbone.channels)
        first = 2 if self.is_resnet and config.downsample_in_first_stage else 1
        self.strides = tuple(self.stem_stride * first * 2 ** (index - 1) for index in out_indices)
        self._add_token(config.embedding_size if self.is_resnet else config.hidden_sizes[0])

    def origin_of(self, stride: int) -> float:
        """Image coordinate of the centre of the first cell of a map."""
        return 0.5 if self.is_resnet else super().origin_of(stride)

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
        values = self.stem(pixels)
        values = self._with_token(values, None if masked is None else masked[:, None], (-1, 1, 1))
        maps = []
        for index, stage in enumerate(self.stages, start=1):
            values = stage(values)
            if str(index) in self.outputs:
                maps.append(self.outputs[str(index)](values))
        return tuple(maps)


class _SwinTrunk(_Trunk):
    """Swin (2103.14030)."""

    def __init__(self, backbone: Any, out_indices: tuple[int, ...]) -> None:
        super().__init__()
        config = backbone.config
        self.stem = backbone.swin.embeddings
        self.stem_stride = config.patch_size
        self.stages = backbone.swin.encoder.layers[: out_indices[-1]]
        self.stages[-1].downsample = None
        self.outputs = nn.ModuleDict({str(i): backbone.hidden_states_norms[f"stage{i}"] for i in out_indices})
        self.channels = tuple(backbone.channels)
        self.strides = tuple(self.stem_stride * 2 ** (index - 1) for index in out_indices)
        self._add_token(config.embed_dim)

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
        values, size = self.stem(pixels, interpolate_pos_encoding=True)
        values = self._with_token(values, None if masked is None else masked.flatten(1)[..., None], (-1,))
        maps = []
        for index, stage in enumerate(self.stages, start=1):
            values, before_merging, _ = stage(
                values, size, always_partition=True, output_hidden_states_before_downsampling=True
            )
            if str(index) in self.outputs:
                channel_last = before_merging.permute(0, 2, 3, 1)
                maps.append(self.outputs[str(index)](channel_last).permute(0, 3, 1, 2))
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        return tuple(maps)


class _ViTTrunk(_Trunk):
    """DINOv2 (2304.07193). Hidden tokens are dropped, as in a masked autoencoder (2111.06377)."""

    def __init__(self, backbone: Any, out_indices: tuple[int, ...]) -> None:
        super().__init__()
        config = backbone.config
        self.embeddings = backbone.embeddings
        self.embeddings.mask_token = None  # tokens are dropped; an unused parameter would stop distributed training
        self.stem_stride = config.patch_size
        self.layers = backbone.encoder.layer[: out_indices[-1]]
        self.norm = backbone.layernorm if config.apply_layernorm else nn.Identity()
        self.out_indices = out_indices
        self.channels = tuple(backbone.channels)
        self.strides = (self.stem_stride,) * len(out_indices)
        self._add_token(config.hidden_size)

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
        shape = pixels.shape[-2] // self.stem_stride, pixels.shape[-1] // self.stem_stride
        tokens = self.embeddings(pixels)
        mask = position = None
        if masked is not None:
            # Images keep different numbers of tokens: kept ones first, in order, then fillers hidden from attention.
            kept = nn.functional.pad(~masked.flatten(1), (1, 0), value=True)  # the class token stays
            position = kept.int().argsort(dim=1, descending=True, stable=True)
            count = kept.sum(1)
            position = position[:, : int(count.max())]
            tokens = tokens.gather(1, position[..., None].expand(-1, -1, tokens.shape[-1]))
            filler = torch.arange(position.shape[1], device=tokens.device) >= count[:, None]
            mask = torch.zeros_like(filler, dtype=tokens.dtype)[:, None, None].masked_fill(
                filler[:, None, None], torch.finfo(tokens.dtype).min
            )
        maps = []
        for index, layer in enumerate(self.layers, start=1):
            tokens = layer(tokens, mask)
            if index in self.out_indices:
                maps.append(self._as_map(self.norm(tokens), masked, position, shape))
        return tuple(maps)

    def _as_map(
        self, tokens: Tensor, masked: Tensor | None, position: Tensor | None, shape: tuple[int, int]
    ) -> Float[Tensor, "image channel row column"]:
        if masked is not None and position is not None:
            full = tokens.new_zeros(len(tokens), 1 + shape[0] * shape[1], tokens.shape[-1])
            tokens = full.scatter(1, position[..., None].expand_as(tokens), tokens)
        patches = self._with_token(tokens[:, 1:], None if masked is None else masked.flatten(1)[..., None], (-1,))
        return patches.reshape(len(patches), *shape, -1).permute(0, 3, 1, 2)


_TRUNKS: dict[str, type[_ConvolutionalTrunk] | type[_SwinTrunk] | type[_ViTTrunk]] = {
    "resnet": _ConvolutionalTrunk,
    "convnextv2": _ConvolutionalTrunk,
    "dinov2": _ViTTrunk,
    "swin": _SwinTrunk,
}
