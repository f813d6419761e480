"""What a sensor's raw data hold in a cell, for objectives that reconstruct it: one class per kind of content."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from avjepa.data.sample import Batch
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.errors import UserError
from avjepa.geometry.device import occurrences
from avjepa.geometry.grid import BEVGrid


@dataclass(frozen=True)
class Content:
    """The content of every cell."""

    values: Float[Tensor, "batch y x value"]
    occupied: Bool[Tensor, "batch y x"]
    """Cells in which there is something."""
    valid: Bool[Tensor, "batch y x"]
    """Cells whose content is known; others do not count in the loss, their values are any finite numbers."""


class ReconstructionTarget(ABC):
    """Reads the content of the cells from the raw data of a batch.

    Attributes:
        channels: what the decoder has to predict per cell.
    """

    channels: int

    @abstractmethod
    def of(self, batch: Batch, grid: BEVGrid) -> Content:
        """The content of every cell of the grid, without labels."""

    @abstractmethod
    def distance(
        self,
        prediction: Float[Tensor, "cell channel"],
        values: Float[Tensor, "cell value"],
        occupied: Bool[Tensor, "cell"],
    ) -> Float[Tensor, "cell"]:
        """How far predictions for some cells are from their content, in fp32."""


class PillarPoints(ReconstructionTarget):
    """Occupancy of height bins, density and heights of points (Occupancy-MAE, 2206.09900; BEV-MAE, 2212.05758).

    Channels: logits of the bins' occupancy; log(1 + number of points); mean and greatest height above ``z_min`` in
    units of the range, which count in occupied cells only.

    Args:
        sensor: whose points.
        z_min: lower end of the first bin, in metres above the ground; the default puts the ground into one bin.
        z_max: upper end of the last bin. Points outside do not count.
        height_bins: number of bins.
        density_weight: weight of the smooth L1 distance of the density, that of the bins' mean cross-entropy being 1.
        height_weight: weight of the smooth L1 distance of the two heights.
    """

    def __init__(
        self,
        sensor: Literal["lidar", "radar"],
        z_min: float = -1.25,
        z_max: float = 3.75,
        height_bins: int = 10,
        density_weight: float = 0.1,
        height_weight: float = 1.0,
    ) -> None:
        if z_max <= z_min or height_bins < 1:
            raise UserError(
                f"PillarPoints: {height_bins} bins from {z_min} to {z_max} m; give z_min < z_max, bins >= 1"
            )
        self.sensor, self.z_min, self.z_max, self.height_bins = sensor, z_min, z_max, height_bins
        self.density_weight, self.height_weight = density_weight, height_weight
        self.channels = height_bins + 3

    def of(self, batch: Batch, grid: BEVGrid) -> Content:
        """Counts of points; a sample without the sensor is valid nowhere.

        Raises:
            UserError: no sample of the batch has the sensor.
        """
        points = batch.lidar if self.sensor == "lidar" else batch.radar
        if points is None:
            raise MissingSensorError("PillarPoints", self.sensor, batch)
        x, y, z = points.xyz.unbind(1)
        row, column, inside = grid.rows_and_columns(x, y)
        height = (z - self.z_min) / (self.z_max - self.z_min)
        at = (inside & (height >= 0) & (height < 1)).nonzero()[:, 0]
        size, (rows, columns), bins = points.batch_size, grid.shape, self.height_bins
        place = ((points.batch_index * rows + row) * columns + column).index_select(0, at)
        height = height.index_select(0, at).float()
        cells = size * rows * columns
        in_bin = (height * bins).long().clamp(max=bins - 1)

        counts = occurrences(place * bins + in_bin, cells * bins).view(cells, bins)
        number = counts.sum(1)
        total = height.new_zeros(cells).index_add(0, place, height)
        highest = height.new_zeros(cells).scatter_reduce(0, place, height, "amax")
        summary = torch.stack((number.float().log1p(), total / number.clamp(min=1), highest), dim=1)
        values = torch.cat(((counts > 0).float(), summary), dim=1).view(size, rows, columns, self.channels)
        valid = points.present[:, None, None].expand(size, rows, columns)
        return Content(values, (number > 0).view(size, rows, columns), valid)

    def distance(
        self,
        prediction: Float[Tensor, "cell channel"],
        values: Float[Tensor, "cell value"],
        occupied: Bool[Tensor, "cell"],
    ) -> Float[Tensor, "cell"]:
        """Cross-entropy of the bins plus the weighted distances of density and heights."""
        bins = self.height_bins
        occupancy = functional.binary_cross_entropy_with_logits(
            prediction[:, :bins], values[:, :bins], reduction="none"
        ).mean(1)
        rest = functional.smooth_l1_loss(prediction[:, bins:], values[:, bins:], reduction="none", beta=0.1)
        heights = rest[:, 1:].mean(1) * occupied
        return occupancy + self.density_weight * rest[:, 0] + self.height_weight * heights
