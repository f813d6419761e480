"""A structured toy world and encoders that read it, for tests of the objectives.

Things are squares of 3 by 3 cells with one of several heights; a "point" marks one cell of the image. Whoever sees a
part of a square can tell its height in the rest of it.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from avjepa.data.sample import Batch, Points, PretrainBatch
from avjepa.encoders.base import BEVMap, DenseFeatures, SensorEncoder, Tokens
from avjepa.encoders.reconstruction_target import PillarPoints
from avjepa.geometry.grid import BEVGrid
from tests.batch_tokens import BatchTokens

GRID = BEVGrid(-10.0, 14.0, -8.0, 8.0, 1.0)  # 16 rows and 24 columns, the sensor off centre: swapped axes show


def scene(seed: int, things: int = 10) -> Tensor:
    """Points (x, y, z, ...) of one moment, a function of the seed."""
    random = np.random.default_rng(seed)
    rows, columns = GRID.shape
    points = []
    for _ in range(things):
        row, column, height = random.integers(1, rows - 1), random.integers(1, columns - 1), random.integers(1, 4)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                x, y = GRID.x_min + column + dx + 0.5, GRID.y_min + row + dy + 0.5
                points.append((x, y, float(height), height / 4, 0.0, 0.0))
    return torch.tensor(points, dtype=torch.float32).reshape(-1, 6)


def batch_of(clouds: list[Tensor], seeds: list[int], bev_from_level: Tensor | None = None) -> Batch:
    """Clouds stacked into a batch."""
    size = len(clouds)
    pose = torch.eye(4).repeat(size, 1, 1) if bev_from_level is None else bev_from_level
    index = torch.repeat_interleave(torch.arange(size), torch.tensor([len(cloud) for cloud in clouds]))
    return Batch(
        tokens=tuple(str(seed) for seed in seeds),
        scenes=("scene",) * size,
        seeds=torch.tensor(seeds, dtype=torch.int64),
        global_from_level=torch.eye(4, dtype=torch.float64).repeat(size, 1, 1),
        bev_from_level=pose,
        lidar=Points(torch.cat(clouds), index, torch.ones(size, dtype=torch.bool)),
    )


def toy_batch(seeds: list[int], things: int = 10) -> PretrainBatch:
    """Context and target are one view."""
    batch = batch_of([scene(seed, things) for seed in seeds], seeds)
    return PretrainBatch(batch, batch)


class ToyEncoder(SensorEncoder):
    """An image of heights, and dense convolutions over it."""

    def __init__(self, channels: int = 16, norm: bool = False, grid: BEVGrid = GRID) -> None:
        super().__init__()
        self.token_grid, self.out_channels, self.intermediate_channels = grid, channels, (channels,)
        self.stem = nn.Sequential(
            nn.Conv2d(2, channels, 3, padding=1), nn.BatchNorm2d(channels) if norm else nn.Identity(), nn.GELU()
        )
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, channels, 1)
        )

    def reconstruction_target(self) -> PillarPoints:
        return PillarPoints("lidar")

    def image(self, batch: Batch) -> Tensor:
        """Occupancy and greatest height of every cell."""
        assert batch.lidar is not None
        cell, inside = self.token_grid.cell_of(batch.lidar.xyz[:, :2].contiguous())
        place = (batch.lidar.batch_index[inside], cell[inside, 0], cell[inside, 1])
        image = torch.zeros(len(batch), 2, *self.token_grid.shape)
        image[place[0], 0, place[1], place[2]] = 1.0
        height = torch.zeros(image[:, 1].numel())
        flat = (place[0] * image.shape[2] + place[1]) * image.shape[3] + place[2]
        height.scatter_reduce_(0, flat, batch.lidar.features[inside, 2], "amax")
        image[:, 1] = height.view_as(image[:, 1])
        return image

    def tokenise(self, batch: Batch) -> BatchTokens:
        return BatchTokens(batch, lambda b: self.image(b)[:, 0] > 0, self.dropped)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        assert isinstance(tokens, BatchTokens)
        image = self.image(tokens.batch)
        if masked is not None:
            image = image.masked_fill(masked[:, None], 0.0)
        level = self.stem(image)
        return BEVMap(self.body(level), image[:, 0] > 0, (DenseFeatures(level),))

    def dropped(self, batch: Batch, input_dropout: float) -> Batch:
        assert batch.lidar is not None
        keep = []
        for sample, seed in enumerate(batch.seeds.tolist()):
            count = int((batch.lidar.batch_index == sample).sum())
            keep.append(torch.rand(count, generator=torch.Generator().manual_seed(seed % 2**63)) >= input_dropout)
        return replace(batch, lidar=batch.lidar.selected(torch.cat(keep)))
