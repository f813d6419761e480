"""Where the cells of the BEV grid fall in the images, and which image patches see them.

**Pixels.** Intrinsics map a direction of the camera frame (x right, y down, z forward) to *continuous* image
coordinates ``u = fx·x/z + cx`` in which the pixel of column i and row j is the square [i, i+1) × [j, j+1): the left
edge of the image is u = 0, its right edge u = width, the centre of the first pixel 0.5. In these coordinates resizing
an image (as PIL and ``interpolate(align_corners=False)`` do) by s is exactly ``diag(s, s, 1) @ K``, a crop subtracts
its offset from (cx, cy), and a mirror image has u' = width − u. nuScenes does not say where in the first pixel its own
origin lies; the two readings differ by half a pixel of the 1600×900 original, 0.02°, less than its calibration errs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avjepa.data.sample import Cameras
from avjepa.geometry.device import constant
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import inverse

NEAREST_DEPTH = 1.0
"""Metres ahead of a camera from which on it counts as seeing: what is nearer is the vehicle that carries it."""


def image_from_bev(cameras: Cameras) -> Float[Tensor, "batch camera 3 4"]:
    """Projections of BEV points (x, y, z, 1) to (u·depth, v·depth, depth). Always in float32, also under autocast."""
    camera_from_bev = inverse(cameras.bev_from_camera.float())[..., :3, :]
    return (cameras.intrinsics.float()[..., None] * camera_from_bev[..., None, :, :]).sum(-2)


def project_lattice(
    image_from_bev: Float[Tensor, "batch camera 3 4"],
    x: Float[Tensor, "x"],
    y: Float[Tensor, "y"],
    z: Float[Tensor, "z"],
) -> Float[Tensor, "batch camera 3 z y x"]:
    """(u·depth, v·depth, depth) of all points of a lattice given by its coordinates (m) along the BEV axes.

    A sum of three products broadcast over the lattice: no matrix product, so autocast cannot lower its precision.
    """
    weights = image_from_bev[..., None, None, None]
    return (
        (weights[..., 0, :, :, :] * x)
        + (weights[..., 1, :, :, :] * y[:, None])
        + (weights[..., 2, :, :, :] * z[:, None, None])
        + weights[..., 3, :, :, :]
    )


@dataclass(frozen=True)
class PatchViews:
    """For every camera and cell, the rectangle of image patches that see the cell's column.

    The column is the cell's square from ``low`` to ``high`` metres above the ground, as far as it is at least
    ``NEAREST_DEPTH`` ahead of the camera. The rectangle bounds its projection: it may hold a few patches too many
    at the corners, and never one too few.
    """

    seen: Bool[Tensor, "batch camera y x"]
    """A present camera's image holds a part of the column."""
    first: Int64[Tensor, "2 batch camera y x"]
    """(row, column) of the first patch of the rectangle; 0 where not seen."""
    last: Int64[Tensor, "2 batch camera y x"]
    """(row, column) of its last patch, included."""
    patch_shape: tuple[int, int]
    """(rows, columns) of patches in an image; the last may reach beyond the image."""

    @staticmethod
    def of(cameras: Cameras, grid: BEVGrid, column: tuple[float, float], patch: int) -> "PatchViews":
        """The views of all cells of ``grid`` in the present cameras, for square patches of ``patch`` pixels."""
        height, width = cameras.images.shape[-2:]
        projection = image_from_bev(cameras)
        low_corner, high_corner = _projected_bounds(projection, cameras.present, grid, column)
        size = constant((height, width), torch.int64, projection.device)[:, None, None, None, None]
        seen = ((high_corner >= 0) & (low_corner < size)).all(0) & cameras.present[..., None, None]
        first = (low_corner.clamp(min=0) / patch).floor()
        last = (torch.minimum(high_corner, size - 0.5) / patch).floor()
        zero = first.new_zeros(())
        return PatchViews(
            seen=seen,
            first=torch.where(seen, first, zero).long(),
            last=torch.where(seen, last, zero).long(),
            patch_shape=(-(-height // patch), -(-width // patch)),
        )

    def cells_per_patch(self, cells: Bool[Tensor, "batch y x"]) -> Int64[Tensor, "batch camera row column"]:
        """How many of the cells every patch sees."""
        batch, view = self.seen.shape[:2]
        rows, columns = self.patch_shape
        chosen = (self.seen & cells[:, None]).flatten(2)
        # The rectangles are painted as differences at their corners, which a cumulative sum then fills.
        ends = torch.zeros(batch, view, (rows + 1) * (columns + 1), dtype=torch.int64, device=cells.device)
        first, last = self.first.flatten(3), self.last.flatten(3) + 1
        for row, column, sign in (
            (first[0], first[1], 1), (first[0], last[1], -1), (last[0], first[1], -1), (last[0], last[1], 1),
        ):  # fmt: skip
            ends.scatter_add_(2, row * (columns + 1) + column, chosen * sign)
        return ends.view(batch, view, rows + 1, columns + 1).cumsum(-1).cumsum(-2)[..., :rows, :columns]

    def cells_seen(self, masked: Bool[Tensor, "batch camera row column"] | None = None) -> Bool[Tensor, "batch y x"]:
        """The cells of which a camera sees anything through patches that are not masked."""
        if masked is None:
            return self.seen.any(1)
        batch, view = self.seen.shape[:2]
        rows, columns = self.patch_shape
        area = torch.zeros(batch, view, rows + 1, columns + 1, dtype=torch.int64, device=masked.device)
        area[..., 1:, 1:] = (~masked).long().cumsum(-1).cumsum(-2)
        area = area.flatten(2)
        first, last = self.first.flatten(3), self.last.flatten(3) + 1

        def up_to(row: Tensor, column: Tensor) -> Tensor:
            return area.gather(2, row * (columns + 1) + column)

        open_patches = (
            up_to(last[0], last[1]) - up_to(first[0], last[1]) - up_to(last[0], first[1]) + up_to(first[0], first[1])
        )
        return (self.seen & (open_patches.view_as(self.seen) > 0)).any(1)


def _projected_bounds(
    projection: Float[Tensor, "batch camera 3 4"],
    present: Bool[Tensor, "batch camera"],
    grid: BEVGrid,
    column: tuple[float, float],
) -> tuple[Float[Tensor, "2 batch camera y x"], Float[Tensor, "2 batch camera y x"]]:
    """Least and greatest (v, u) of every cell's column; +inf and -inf where all of it is nearer than NEAREST_DEPTH.

    Of cameras that are not present the numbers mean nothing.
    """
    device = projection.device
    rows, columns = grid.shape
    x = grid.x_min + torch.arange(columns + 1, device=device) * grid.cell
    y = grid.y_min + torch.arange(rows + 1, device=device) * grid.cell
    corners = project_lattice(projection, x, y, constant(tuple(column), torch.float32, device))
    depth = corners[:, :, 2]
    behind = (depth < NEAREST_DEPTH)[:, :, None]
    pixels = corners[:, :, :2].flip(2) / depth[:, :, None].clamp(min=NEAREST_DEPTH)
    beyond = torch.where(behind, float("inf"), 0.0)  # added, as filling in takes ten times as long on a CPU
    least = _over_corners(torch.minimum, pixels + beyond)
    greatest = _over_corners(torch.maximum, pixels - beyond)

    # Columns that the near plane cuts also reach to where it cuts their edges.
    some_behind, all_behind = _over_corners(torch.maximum, behind), _over_corners(torch.minimum, behind)
    sample, view, row, col = ((some_behind & ~all_behind)[:, :, 0] & present[..., None, None]).nonzero().unbind(-1)
    box = torch.stack([
        corners[sample, view, :, level, row + down, col + right]
        for level in (0, 1) for down in (0, 1) for right in (0, 1)
    ], dim=1)  # (cut, corner, 3), corner = 4·level + 2·down + right  # fmt: skip
    start = box[:, [a for a in range(8) for bit in (1, 2, 4) if not a & bit]]
    end = box[:, [a | bit for a in range(8) for bit in (1, 2, 4) if not a & bit]]
    crosses = (start[..., 2] >= NEAREST_DEPTH) != (end[..., 2] >= NEAREST_DEPTH)
    gap = end[..., 2] - start[..., 2]
    share = (NEAREST_DEPTH - start[..., 2]) / torch.where(crosses, gap, torch.ones_like(gap))
    crossing = ((start + share[..., None] * (end - start)) / NEAREST_DEPTH)[..., (1, 0)]
    crossing_least = crossing.masked_fill(~crosses[..., None], float("inf")).amin(1)
    crossing_greatest = crossing.masked_fill(~crosses[..., None], float("-inf")).amax(1)
    at = (sample, view, slice(None), row, col)
    least[at] = torch.minimum(least[at], crossing_least)
    greatest[at] = torch.maximum(greatest[at], crossing_greatest)
    return least.movedim(2, 0), greatest.movedim(2, 0)


def _over_corners(reduce: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> Tensor:
    """(batch, view, c, 2, y + 1, x + 1) reduced over the eight corners of every cell: (batch, view, c, y, x)."""
    values = reduce(values[:, :, :, 0], values[:, :, :, 1])
    values = reduce(values[..., 1:, :], values[..., :-1, :])
    return reduce(values[..., 1:], values[..., :-1])
