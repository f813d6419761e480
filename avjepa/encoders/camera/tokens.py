"""The images of a batch, and the cells that their patches see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from avjepa.data.sample import Batch, Cameras
from avjepa.encoders.base import Tokens, per_sample
from avjepa.encoders.camera.geometry import PatchViews
from avjepa.encoders.camera.lift import Sightings
from avjepa.encoders.camera.patch_masks import MaskCells, MaskPatches, seeded
from avjepa.geometry.device import constant

_THINNING_STREAM = 0x63616D657261  # keeps these draws apart from the masks, which use the same seeds


@dataclass(frozen=True)
class CameraTokens(Tokens):
    """Images cut into square patches."""

    cameras: Cameras
    seeds: Int64[Tensor, "batch"]
    """Of every sample, on the CPU."""
    views: PatchViews
    patch: int
    """Side of a patch in pixels."""
    sightings: Sightings | None
    """Of the encoder's lift."""
    hiding: MaskCells | MaskPatches
    fill: tuple[float, ...]
    """What a dropped patch is filled with: red, green and blue between 0 and 1."""

    @cached_property
    def observed(self) -> Bool[Tensor, "batch y x"]:  # type: ignore[override]
        """The cells whose column falls into an image, whatever stands there."""
        return self.views.cells_seen()

    def are_of(self, batch: Batch) -> bool:
        """See ``Tokens.are_of``."""
        return batch.cameras is self.cameras

    def realisable_mask(self, wanted: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y x"]:
        """See ``Tokens.realisable_mask``: the cells that lose their view when patches are hidden as ``hiding`` says,
        and the wanted ones that no camera sees. Hiding them hides no patch beyond those."""
        patches = self.hiding.patches(self.views, wanted, self.seeds)
        return torch.where(self.observed, ~self.views.cells_seen(patches), wanted)

    def without(self, share: float | Sequence[float]) -> "CameraTokens":
        """See ``Tokens.without``: patches of every image take the mean colour."""
        images = self.cameras.images
        view_count, (height, width) = images.shape[1], images.shape[-2:]
        shape = (view_count, *self.views.patch_shape)
        dropped = torch.stack(
            [
                torch.rand(shape, generator=seeded(seed, _THINNING_STREAM)) < own
                for seed, own in zip(self.seeds.tolist(), per_sample(share, len(images)), strict=True)
            ]
        )
        pixels = dropped.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)[..., :height, :width]
        colour = constant(self.fill, torch.float32, images.device).mul(255).round().to(torch.uint8)
        filled = torch.where(pixels.to(images.device, non_blocking=True)[:, :, None], colour[:, None, None], images)
        return replace(self, cameras=replace(self.cameras, images=filled))
