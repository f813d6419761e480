"""Lifting by a distribution over depth."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avjepa.encoders.camera.lift import ImageFeatures, Lift, weighted_sums
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid


@dataclass(frozen=True)
class DepthLiftOptions:
    """Options of ``DepthLift``.

    Args:
        nearest: lower edge of the first depth bin, in metres along the optical axis.
        farthest: upper edge of the last depth bin.
        bins: number of depth bins, all of one width.
        z_range: lowest and highest z in the BEV frame (m) of what is lifted.
        context_channels: channels of the features that are spread over depth.
    """

    nearest: float = 1.0
    farthest: float = 60.0
    bins: int = 59
    z_range: tuple[float, float] = (-3.0, 5.0)
    context_channels: int = 64

    def build(self, channels: int, grid: BEVGrid) -> "DepthLift":
        """The lift for image features of so many channels."""
        return DepthLift(channels, grid, self)


class DepthLift(Lift):
    """Every pixel spreads its features over the cells along its ray, by a predicted distribution over depth
    (Lift, Splat, Shoot, 2008.05711).

    A cell sums what falls into it from all cameras and heights. No custom operator: the sum is one sparse product.
    """

    def __init__(self, channels: int, grid: BEVGrid, options: DepthLiftOptions) -> None:
        super().__init__()
        if not 0 < options.nearest < options.farthest or options.bins < 1:
            raise UserError(
                f"lift: {options.bins} depth bins from {options.nearest} to {options.farthest} m; "
                "choose 0 < nearest < farthest and at least one bin"
            )
        if not options.z_range[0] < options.z_range[1]:
            raise UserError(f"lift.z_range: {list(options.z_range)} is not a range; give lowest < highest")
        self.grid, self.options = grid, options
        self.out_channels = options.context_channels
        self.head = nn.Conv2d(channels, options.bins + options.context_channels, 1)

    def forward(self, features: ImageFeatures) -> Float[Tensor, "batch channel y x"]:
        """Features on the BEV grid, zero where nothing is lifted to."""
        batch, view = features.values.shape[:2]
        predicted = self.head(features.values.flatten(0, 1)).float().unflatten(0, (batch, view))
        logits, context = predicted.split((self.options.bins, self.options.context_channels), dim=2)
        lifted = ImageFeatures(
            context, features.cameras, features.stride, features.origin, features.masked, features.patch
        )
        return self.splat(lifted, logits.softmax(2))

    def splat(
        self, context: ImageFeatures, probability: Float[Tensor, "batch camera bin row column"]
    ) -> Float[Tensor, "batch channel y x"]:
        """The sum over pixels and depth bins of probability times context, by the cell they fall into.

        Args:
            context: features per pixel of the map.
            probability: of each depth bin, per pixel of the map.
        """
        batch = len(context.values)
        cells = batch * self.grid.shape[0] * self.grid.shape[1]
        cell, inside = self._cells(context)
        entry = inside.flatten().nonzero()[:, 0]
        order = cell.flatten()[entry].argsort(stable=True)
        entry = entry[order]
        # An entry is (batch, view, bin, row, column); its row in the table leaves the bin out.
        per_map = probability.shape[-2] * probability.shape[-1]
        source = entry // (per_map * self.options.bins) * per_map + entry % per_map
        sizes = torch.bincount(cell.flatten()[entry], minlength=cells)
        sums = weighted_sums(context.table(), source, probability.float().flatten()[entry], sizes)
        return sums.view(batch, *self.grid.shape, -1).permute(0, 3, 1, 2)

    @torch.no_grad()
    def _cells(
        self, features: ImageFeatures
    ) -> tuple[Int64[Tensor, "batch camera bin row column"], Bool[Tensor, "batch camera bin row column"]]:
        """Cell (batch, y, x flattened) of every pixel of the map at every depth, and whether it takes part."""
        batch, view, _, rows, columns = features.values.shape
        device = features.values.device
        u = features.origin + features.stride * torch.arange(columns, device=device).float()
        v = features.origin + features.stride * torch.arange(rows, device=device).float()
        width = (self.options.farthest - self.options.nearest) / self.options.bins
        depth = self.options.nearest + width * (torch.arange(self.options.bins, device=device) + 0.5)

        # Sums of products and no matrix products, which autocast would lower in precision.
        camera_from_pixel = torch.linalg.inv(features.cameras.intrinsics.float())[..., None, None]
        bev_from_camera = features.cameras.bev_from_camera.float()[..., None, None, None]
        ray = camera_from_pixel[..., 0, :, :] * u + camera_from_pixel[..., 1, :, :] * v[:, None]
        ray = ray + camera_from_pixel[..., 2, :, :]  # batch view 3 row column, at depth 1
        direction = (bev_from_camera[:, :, :3, :3, 0] * ray[:, :, None]).sum(3)
        position = direction[:, :, :, None] * depth[:, None, None] + bev_from_camera[:, :, :3, 3]
        row_column, in_grid = self.grid.cell_of(position[:, :, :2].movedim(2, -1))
        z = position[:, :, 2]

        sample_of = torch.arange(batch, device=device)[:, None, None, None]
        view_of = torch.arange(view, device=device)[:, None, None]
        seen = features.seen(view_of, sample_of, u, v[:, None])[:, :, None]
        low, high = self.options.z_range
        inside = in_grid & (z >= low) & (z < high) & seen
        cell = (sample_of[..., None] * self.grid.shape[0] + row_column[..., 0]) * self.grid.shape[1] + row_column[
            ..., 1
        ]
        return cell, inside
