"""What every way of lifting image features into the BEV grid has in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from avjepa.data.sample import Cameras
from avjepa.geometry.device import occurrences


@dataclass(frozen=True)
class Sightings:
    """Points of the BEV frame in the images: an entry for each image that holds one, in the order of the points."""

    point: Int64[Tensor, "sighting"]
    image: Int64[Tensor, "sighting"]
    """Position in (batch, camera), flattened."""
    u: Float[Tensor, "sighting"]
    v: Float[Tensor, "sighting"]
    """Pixels."""
    points: int
    """How many there are, seen or not."""


@dataclass(frozen=True)
class ImageFeatures:
    """One feature map per image, with what it takes to find a pixel in it."""

    values: Float[Tensor, "batch camera channel row column"]
    cameras: Cameras
    stride: int
    """Pixels per cell of the map."""
    origin: float
    """Image coordinate of the centre of the map's first cell, along both axes."""
    masked: Bool[Tensor, "batch camera patch_row patch_column"] | None = None
    """Image patches that were hidden: what was filled in there is not lifted."""
    patch: int = 1
    """Side of a patch in pixels."""
    sightings: Sightings | None = None
    """``Lift.sightings`` of the cameras, if it was asked for them before."""

    def seen(
        self,
        view: Int64[Tensor, "*#point"],
        sample: Int64[Tensor, "*#point"],
        u: Float[Tensor, "*#point"],
        v: Float[Tensor, "*#point"],
    ) -> Bool[Tensor, "*point"]:
        """Whether image points (pixels) lie in a present image, on a patch that was not masked."""
        inside = in_image(self.cameras, view, sample, u, v)
        return inside if self.masked is None else inside & ~self.masked[(sample, view, *self._patch_of(u, v))]

    def unmasked(self, sightings: Sightings) -> Sightings:
        """Those that do not lie on a masked patch."""
        if self.masked is None:
            return sightings
        point, image, u, v = sightings.point, sightings.image, sightings.u, sightings.v
        kept = (~self.masked.flatten(0, 1)[(image, *self._patch_of(u, v))]).nonzero()[:, 0]
        return Sightings(point[kept], image[kept], u[kept], v[kept], sightings.points)

    def _patch_of(self, u: Float[Tensor, "*#point"], v: Float[Tensor, "*#point"]) -> tuple[Tensor, Tensor]:
        height, width = self.cameras.images.shape[-2:]
        return (v.clamp(0, height - 1) / self.patch).long(), (u.clamp(0, width - 1) / self.patch).long()

    def table(self) -> Float[Tensor, "cell channel"]:
        """The values of all images as rows, (batch, view, row, column) flattened, in float32."""
        return self.values.float().permute(0, 1, 3, 4, 2).flatten(0, 3)


def in_image(
    cameras: Cameras,
    view: Int64[Tensor, "*#point"],
    sample: Int64[Tensor, "*#point"],
    u: Float[Tensor, "*#point"],
    v: Float[Tensor, "*#point"],
) -> Bool[Tensor, "*point"]:
    """Whether image points (pixels) lie in a present image."""
    height, width = cameras.images.shape[-2:]
    return cameras.present[sample, view] & (u >= 0) & (u < width) & (v >= 0) & (v < height)


class Lift(nn.Module, ABC):
    """Image features -> BEV features. All geometry and all sums are in float32, also under autocast.

    Attributes:
        out_channels: channels of the result.
    """

    out_channels: int

    def sightings(self, cameras: Cameras) -> Sightings | None:
        """What follows from where the cameras stand alone, if this lift starts from there: made once for many maps."""
        return None

    @abstractmethod
    def forward(self, features: ImageFeatures) -> Float[Tensor, "batch channel y x"]:
        """Features on the BEV grid, zero where no camera sees anything."""


def weighted_sums(
    table: Float[Tensor, "source channel"],
    source: Int64[Tensor, "entry"],
    weight: Float[Tensor, "entry"],
    target_sizes: Int64[Tensor, "target"],
) -> Float[Tensor, "target channel"]:
    """Weighted sums of rows of a table: the product with a sparse matrix, without ever storing the weighted rows.

    Args:
        table: rows to sum.
        source: row of every entry; the entries of a target follow each other, targets in order.
        weight: of every entry; may need a gradient.
        target_sizes: number of entries of each target; 0 gives zeros.
    """
    sums: Tensor = _WeightedSums.apply(table, source, weight, target_sizes)  # type: ignore[no-untyped-call]
    return sums


class _WeightedSums(torch.autograd.Function):
    """PyTorch's sums, with a gradient that is a sum over the transposed matrix: four times as fast on a CPU."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, source: Tensor, weight: Tensor, target_sizes: Tensor) -> Tensor:
        ctx.save_for_backward(table, source, weight, target_sizes)
        return _sums(table, source, weight, target_sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        table, source, weight, target_sizes = ctx.saved_tensors
        targets = torch.arange(len(target_sizes), device=source.device)
        target = torch.repeat_interleave(targets, target_sizes, output_size=len(source))
        of_table = of_weight = None
        if ctx.needs_input_grad[0]:
            by_source = source.argsort(stable=True)
            sizes = occurrences(source, len(table))
            of_table = _sums(gradient.contiguous(), target[by_source], weight[by_source], sizes)
        if ctx.needs_input_grad[2]:
            of_weight = (table.index_select(0, source) * gradient.index_select(0, target)).sum(1)
        return of_table, None, of_weight, None


def _sums(table: Tensor, source: Tensor, weight: Tensor, target_sizes: Tensor) -> Tensor:
    first = target_sizes.cumsum(0) - target_sizes
    sums: Tensor = functional.embedding_bag(source, table, first, mode="sum", per_sample_weights=weight)
    return sums
