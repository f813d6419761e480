"""Lifting by bilinear sampling at voxel centres."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.sample import Cameras
from avjepa.encoders.camera.geometry import NEAREST_DEPTH, image_from_bev, project_lattice
from avjepa.encoders.camera.lift import ImageFeatures, Lift, Sightings, in_image, weighted_sums
from avjepa.errors import UserError
from avjepa.geometry.device import constant, occurrences
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
    def sightings(self, cameras: Cameras) -> Sightings:
        """The images that hold the centre of each voxel; voxels in the order (batch, y, x, z)."""
        batch, view = cameras.present.shape
        centres = self.grid.centres(cameras.present.device)
        heights = constant(tuple(self.heights), torch.float32, centres.device)
        points = project_lattice(image_from_bev(cameras), centres[0, :, 0], centres[:, 0, 1], heights)
        depth = points[:, :, 2]
        u = points[:, :, 0] / depth.clamp(min=NEAREST_DEPTH)
        v = points[:, :, 1] / depth.clamp(min=NEAREST_DEPTH)

        sample_of = torch.arange(batch, device=u.device)[:, None, None, None, None]
        view_of = torch.arange(view, device=u.device)[:, None, None, None]
        sees = (depth >= NEAREST_DEPTH) & in_image(cameras, view_of, sample_of, u, v)
        levels, cells = len(self.heights), self.grid.shape[0] * self.grid.shape[1]
        seen = sees.permute(0, 3, 4, 2, 1).reshape(-1).nonzero()[:, 0]
        voxel, seen_by = seen // view, seen % view
        pillar, z = voxel // levels, voxel % levels
        sample, cell = pillar // cells, pillar % cells
        image = sample * view + seen_by
        point = (image * levels + z) * cells + cell
        return Sightings(voxel, image, u.flatten()[point], v.flatten()[point], batch * cells * levels)

    @torch.no_grad()
    def _taps(self, features: ImageFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Row of the table and weight of the four cells around every projection of every voxel, in the order of voxels
        (batch, y, x, z), and how many each voxel has."""
        rows, columns = features.values.shape[-2:]
        known = self.sightings(features.cameras) if features.sightings is None else features.sightings
        seen = features.unmasked(known)
        cameras = occurrences(seen.point, seen.points)

        row = ((seen.v - features.origin) / features.stride).clamp(0, rows - 1)
        column = ((seen.u - features.origin) / features.stride).clamp(0, columns - 1)
        upper, left = row.floor(), column.floor()
        down, right = row - upper, column - left
        up, leftward = 1 - down, 1 - right
        share = 1 / cameras[seen.point].float()
        weights = torch.stack((up * leftward, up * right, down * leftward, down * right), dim=-1) * share[:, None]
        first = (seen.image * rows + upper.long()) * columns + left.long()
        lower = (upper < rows - 1).long() * columns  # beyond the last cell a feature is held
        last = (left < columns - 1).long()
        source = torch.stack((first, first + last, first + lower, first + lower + last), dim=-1)
        return source.flatten(), weights.flatten(), 4 * cameras
