"""What every way of lifting image features into the BEV grid has in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from avjepa.data.sample import Cameras


@dataclass(frozen=True)
class ImageFeatures:
    """One feature map per image, with what it takes to find a pixel in it."""

    values: Float[Tensor, "batch view channel row column"]
    cameras: Cameras
    stride: int
    """Pixels per cell of the map."""
    origin: float
    """Image coordinate of the centre of the map's first cell, along both axes."""
    masked: Bool[Tensor, "batch view patch_row patch_column"] | None = None
    """Image patches that were hidden: what was filled in there is not lifted."""
    patch: int = 1
    """Side of a patch in pixels."""

    def seen(
        self,
        view: Int64[Tensor, "*#point"],
        sample: Int64[Tensor, "*#point"],
        u: Float[Tensor, "*#point"],
        v: Float[Tensor, "*#point"],
    ) -> Bool[Tensor, "*point"]:
        """Whether image points (pixels) lie in a present image, on a patch that was not masked."""
        height, width = self.cameras.images.shape[-2:]
        inside = self.cameras.present[sample, view] & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        if self.masked is None:
            return inside
        row = (v.clamp(0, height - 1) / self.patch).long()
        column = (u.clamp(0, width - 1) / self.patch).long()
        return inside & ~self.masked[sample, view, row, column]

    def table(self) -> Float[Tensor, "cell channel"]:
        """The values of all images as rows, (batch, view, row, column) flattened, in float32."""
        return self.values.float().permute(0, 1, 3, 4, 2).flatten(0, 3)


class Lift(nn.Module, ABC):
    """Image features -> BEV features. All geometry and all sums are in float32, also under autocast.

    Attributes:
        out_channels: channels of the result.
    """

    out_channels: int

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
    first = target_sizes.cumsum(0) - target_sizes
    sums: Tensor = functional.embedding_bag(source, table, first, mode="sum", per_sample_weights=weight)
    return sums
