"""An encoder that is no part of avjepa: LiDAR as an image of heights, and plain convolutions over it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn

from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVMap, DenseFeatures, SensorEncoder, Tokens, per_sample
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.encoders.point_tokens import PointTokens
from avjepa.encoders.reconstruction_target import PillarPoints
from avjepa.geometry.grid import BEVGrid


@dataclass(frozen=True)
class HeightTokens(PointTokens):
    """Points, each with the cell that it falls into: what depends on no weight."""

    fields = LIDAR_FIELDS
    place: Int64[Tensor, "point"]

    @property
    def cell(self) -> Int64[Tensor, "point"]:
        """Position of every point's cell in the flattened (batch, y, x) grid."""
        return self.place

    def without(self, share: float | Sequence[float]) -> "HeightTokens":
        """What is left when a share of every sample's points is dropped, a function of the sample's seed alone."""
        index, stays = self.points.batch_index.cpu(), torch.ones(len(self.place), dtype=torch.bool)
        for sample, (seed, own) in enumerate(zip(self.seeds.tolist(), per_sample(share, len(self.seeds)), strict=True)):
            of_sample = index == sample
            draw = torch.rand(int(of_sample.sum()), generator=torch.Generator().manual_seed(seed % 2**63))
            stays[of_sample] = draw >= own
        return replace(self, kept=self.kept & stays.to(self.kept.device))


class HeightMapEncoder(SensorEncoder):
    """Highest point and number of points of every cell -> one BEV map.

    Args:
        token_grid: cells of the output, which are the pixels.
        channels: of every layer and of the output.
    """

    sensor = "lidar"

    def __init__(self, token_grid: BEVGrid, channels: int = 32) -> None:
        super().__init__()
        self.token_grid, self.out_channels = token_grid, channels
        self.intermediate_channels = (channels,)  # of what JEPA may predict besides the output
        self.stem = nn.Sequential(nn.Conv2d(2, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip

    def tokenise(self, batch: Batch) -> HeightTokens:
        """Which cell every point falls into."""
        if batch.lidar is None:
            raise MissingSensorError("HeightMapEncoder", "lidar", batch)
        (rows, columns), points = self.token_grid.shape, batch.lidar
        cell, inside = self.token_grid.cell_of(points.xyz[:, :2].contiguous())
        place = (points.batch_index * rows + cell[:, 0]) * columns + cell[:, 1]
        return HeightTokens(points, batch.seeds, inside, self.token_grid, place)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """The map; points of masked cells are left out before anything looks at them."""
        assert isinstance(tokens, HeightTokens)
        visible = tokens.visible(masked)
        observed = tokens.observed if masked is None else tokens.observed & ~masked
        place, height = tokens.cell[visible], tokens.points.xyz[visible, 2].float()
        highest = height.new_zeros(observed.numel()).scatter_reduce(0, place, height, "amax", include_self=False)
        count = torch.bincount(place, minlength=observed.numel()).float().log1p()
        image = torch.stack((highest, count)).view(2, *observed.shape).transpose(0, 1)
        level = self.stem(image)
        return BEVMap(self.body(level), observed, (DenseFeatures(level),))

    def reconstruction_target(self) -> PillarPoints:
        """What the sensor's raw data hold in a cell: the points of its column."""
        return PillarPoints("lidar")
