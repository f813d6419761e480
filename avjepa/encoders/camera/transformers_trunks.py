"""Image networks of Hugging Face transformers, taken apart at the stem."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avjepa.encoders.camera.trunk import Trunk


class ConvolutionalTrunk(Trunk):
    """ResNet (1512.03385), ConvNeXtV2 (2301.00808), and the ConvNeXt of DINOv3 (2508.10104)."""

    def __init__(self, backbone: Any, out_indices: tuple[int, ...]) -> None:
        super().__init__()
        config = backbone.config
        self.is_resnet = config.model_type == "resnet"
        norms = None
        if config.model_type == "dinov3_convnext":
            stages = backbone.model.stages[: out_indices[-1]]
            self.stem: nn.Module = nn.Sequential(*stages[0].downsample_layers)
            stages[0].downsample_layers = nn.ModuleList()
            self.stem_stride = 4
        else:
            stages = backbone.encoder.stages[: out_indices[-1]]
            self.stem = backbone.embedder if self.is_resnet else backbone.embeddings
            self.stem_stride = 4 if self.is_resnet else config.patch_size
            norms = None if self.is_resnet else backbone.hidden_states_norms
        self.stages = stages
        self.outputs = nn.ModuleDict(
            {str(index): nn.Identity() if norms is None else norms[f"stage{index}"] for index in out_indices}
        )
        self.channels = tuple(backbone.channels)
        first = 2 if self.is_resnet and config.downsample_in_first_stage else 1
        self.strides = tuple(self.stem_stride * first * 2 ** (index - 1) for index in out_indices)
        self.add_token(config.embedding_size if self.is_resnet else config.hidden_sizes[0])

    def origin_of(self, stride: int) -> float:
        """Image coordinate of the centre of the first cell of a map."""
        return 0.5 if self.is_resnet else super().origin_of(stride)

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
        values = self.stem(pixels)
        values = self.with_token(values, None if masked is None else masked[:, None], (-1, 1, 1))
        maps = []
        for index, stage in enumerate(self.stages, start=1):
            values = stage(values)
            if str(index) in self.outputs:
                maps.append(self.outputs[str(index)](values))
        return tuple(maps)


class SwinTrunk(Trunk):
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
        self.add_token(config.embed_dim)

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
        values, size = self.stem(pixels, interpolate_pos_encoding=True)
        values = self.with_token(values, None if masked is None else masked.flatten(1)[..., None], (-1,))
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


class DINOv2Trunk(Trunk):
    """The ViT of DINOv2 (2304.07193). Hidden tokens are dropped, as in a masked autoencoder (2111.06377)."""

    def __init__(self, backbone: Any, out_indices: tuple[int, ...]) -> None:
        super().__init__()
        config = backbone.config
        self.embeddings = backbone.embeddings
        self.embeddings.mask_token = None  # tokens are dropped; an unused parameter would stop distributed training
        self.stem_stride = config.patch_size
        self.layers = self._layers_of(backbone)[: out_indices[-1]]
        self.norm = self._norm_of(backbone)
        self.normalised = set(out_indices) if config.apply_layernorm else set()
        self.extra_tokens = 1  # of the whole image, ahead of the patches'
        self.out_indices = out_indices
        self.channels = tuple(backbone.channels)
        self.strides = (self.stem_stride,) * len(out_indices)
        self.add_token(config.hidden_size)

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
        shape = pixels.shape[-2] // self.stem_stride, pixels.shape[-1] // self.stem_stride
        tokens = self.embeddings(pixels)
        mask = position = None
        if masked is not None:
            # Images keep different numbers of tokens: kept ones first, in order, then fillers hidden from attention.
            kept = nn.functional.pad(~masked.flatten(1), (self.extra_tokens, 0), value=True)
            position = kept.int().argsort(dim=1, descending=True, stable=True)
            count = kept.sum(1)
            position = position[:, : int(count.max())]
            tokens = tokens.gather(1, position[..., None].expand(-1, -1, tokens.shape[-1]))
            filler = torch.arange(position.shape[1], device=tokens.device) >= count[:, None]
            mask = torch.zeros_like(filler, dtype=tokens.dtype)[:, None, None].masked_fill(
                filler[:, None, None], torch.finfo(tokens.dtype).min
            )
        arguments = self._layer_arguments(pixels, position)
        maps = []
        for index, layer in enumerate(self.layers, start=1):
            tokens = layer(tokens, mask, **arguments)
            if index in self.out_indices:
                output = self.norm(tokens) if index in self.normalised else tokens
                maps.append(self._as_map(output, masked, position, shape))
        return tuple(maps)

    def _layers_of(self, backbone: Any) -> Any:
        return backbone.encoder.layer

    def _norm_of(self, backbone: Any) -> nn.Module:
        norm: nn.Module = backbone.layernorm if backbone.config.apply_layernorm else nn.Identity()
        return norm

    def _layer_arguments(
        self, pixels: Tensor, position: Int64[Tensor, "image token"] | None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """What a layer wants to know beside the tokens and which of them are none."""
        return {}

    def _as_map(
        self, tokens: Tensor, masked: Tensor | None, position: Tensor | None, shape: tuple[int, int]
    ) -> Float[Tensor, "image channel row column"]:
        if masked is not None and position is not None:
            full = tokens.new_zeros(len(tokens), self.extra_tokens + shape[0] * shape[1], tokens.shape[-1])
            tokens = full.scatter(1, position[..., None].expand_as(tokens), tokens)
        patches = tokens[:, self.extra_tokens :]
        patches = self.with_token(patches, None if masked is None else masked.flatten(1)[..., None], (-1,))
        return patches.reshape(len(patches), *shape, -1).permute(0, 3, 1, 2)


class DINOv3Trunk(DINOv2Trunk):
    """The ViT of DINOv3 (2508.10104): rotary positions in every layer, and register tokens."""

    def __init__(self, backbone: Any, out_indices: tuple[int, ...]) -> None:
        super().__init__(backbone, out_indices)
        config = backbone.config
        self.rope = backbone.rope_embeddings
        self.extra_tokens = 1 + config.num_register_tokens
        self.normalised |= {config.num_hidden_layers} & set(out_indices)  # the last layer's in any case
        if not self.normalised:
            self.norm = nn.Identity()

    def _layers_of(self, backbone: Any) -> Any:
        return backbone.model.layer

    def _norm_of(self, backbone: Any) -> nn.Module:
        norm: nn.Module = backbone.norm
        return norm

    def _layer_arguments(
        self, pixels: Tensor, position: Int64[Tensor, "image token"] | None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        cosine, sine = self.rope(pixels)
        if position is not None:
            patch = position[:, None, self.extra_tokens :] - self.extra_tokens
            cosine, sine = cosine[patch], sine[patch]
        return {"position_embeddings": (cosine, sine)}
