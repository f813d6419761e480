"""Lifting by bilinear sampling at voxel centres."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.encoders.camera.geometry import NEAREST_DEPTH, image_from_bev, project_lattice
from avjepa.encoders.camera.lift import ImageFeatures, Lift, weighted_sums
from avjepa.errors import UserError
from avjepa.geometry.device import constant
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_numbers


@dataclass(frozen=True)
class BilinearLiftOptions:
    """Options of ``BilinearLift``.

    Args:
        heights: z of the voxel centres in the BEV frame (ground near 0), in metres.
    """

    heights: tuple[float, ...] = (0.0, 0.75, 1.5, 2.5)

    def __post_init__(self) -> None:
        require_numbers("lift.heights", self.heights)
        if list(self.heights) != sorted(set(self.heights)):
            raise UserError(f"lift.heights: {list(self.heights)} must be ascending heights in metres")

    def build(self, channels: int, grid: BEVGrid) -> "BilinearLift":
        """The lift for image features of so many channels."""
        return BilinearLift(channels, grid, self)


class BilinearLift(Lift):
    """Every voxel takes the features that its centre projects to (Simple-BEV, 2206.07959). Has no parameters.

    A voxel is the mean over the cameras that really see its centre: ahead of the camera, within the image, on no hidden
    patch. Features are interpolated between the centres of the map's cells and held constant beyond the outermost ones.
    The voxels of a column become its channels, lowest first.
    """

    def __init__(self, channels: int, grid: BEVGrid, options: BilinearLiftOptions) -> None:
        super().__init__()
        self.grid, self.heights = grid, options.heights
        self.out_channels = channels * len(options.heights)

    def forward(self, features: ImageFeatures) -> Float[Tensor, "batch channel y x"]:
        """Features on the BEV grid, zero where no camera sees the voxel."""
        source, weight, sizes = self._taps(features)
        volume = weighted_sums(features.table(), source, weight, sizes)
        return volume.view(len(features.values), *self.grid.shape, self.out_channels).permute(0, 3, 1, 2)

    @torch.no_grad()
    def _taps(self, features: ImageFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Row of the table and weight of the four cells around every projection of every voxel, in the order of voxels
        (batch, y, x, z), and how many each voxel has."""
        batch, view, _, rows, columns = features.values.shape
        centres = self.grid.centres(features.values.device)
        heights = constant(tuple(self.heights), torch.float32, centres.device)
        points = project_lattice(image_from_bev(features.cameras), centres[0, :, 0], centres[:, 0, 1], heights)
        depth = points[:, :, 2]
        u = points[:, :, 0] / depth.clamp(min=NEAREST_DEPTH)
        v = points[:, :, 1] / depth.clamp(min=NEAREST_DEPTH)

        sample_of = torch.arange(batch, device=u.device)[:, None, None, None, None]
        view_of = torch.arange(view, device=u.device)[:, None, None, None]
        sees = ((depth >= NEAREST_DEPTH) & features.seen(view_of, sample_of, u, v)).permute(0, 3, 4, 2, 1).contiguous()
        cameras = sees.sum(-1)
        sample, y, x, z, seen_by = sees.nonzero().unbind(-1)

        row = ((v[sample, seen_by, z, y, x] - features.origin) / features.stride).clamp(0, rows - 1)
        column = ((u[sample, seen_by, z, y, x] - features.origin) / features.stride).clamp(0, columns - 1)
        upper, left = row.floor(), column.floor()
        down, right = row - upper, column - left
        lower, last = (upper + 1).clamp(max=rows - 1), (left + 1).clamp(max=columns - 1)
        taps_row = torch.stack((upper, upper, lower, lower), dim=-1).long()
        taps_column = torch.stack((left, last, left, last), dim=-1).long()
        weights = (
            torch.stack(((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right), dim=-1)
            / cameras[sample, y, x, z][:, None].float()
        )
        image = (sample * view + seen_by)[:, None]
        source = (image * rows + taps_row) * columns + taps_column
        return source.flatten(), weights.flatten(), 4 * cameras.flatten()
