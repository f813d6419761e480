"""A small detector and labelled clouds that it can learn from."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn

from avjepa.data.labels import Labels
from avjepa.data.sample import Batch, Points
from avjepa.data.taxonomy import ClassGroup, load_taxonomy
from avjepa.encoders.base import BEVMap, SensorEncoder, Tokens
from avjepa.evaluate.detection import DetectionTask
from avjepa.finetune.lightning_model import FinetuneModule
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.base import Head
from avjepa.heads.detection.center_point import CenterPointOptions
from avjepa.model.neck import SecondFPNOptions
from tests.batch_tokens import BatchTokens

GRID = BEVGrid(-8.0, 8.0, -5.0, 6.0, 1.0)  # 11 rows, 16 columns
CARS = replace(load_taxonomy("nuscenes"), groups=(ClassGroup(("car",), 2.0),))


class CountingEncoder(SensorEncoder):
    """Counts points in cells and convolves, with running statistics and dropout."""

    def __init__(self, grid: BEVGrid = GRID, channels: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.token_grid, self.out_channels, self.intermediate_channels = grid, channels, ()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.Dropout(dropout)
        )

    def counts(self, batch: Batch) -> Float[Tensor, "batch 1 y x"]:
        assert batch.lidar is not None
        cell, inside = self.token_grid.cell_of(batch.lidar.xyz[:, :2])
        counts = torch.zeros(len(batch), 1, *self.token_grid.shape)
        at = (batch.lidar.batch_index[inside], torch.zeros_like(cell[inside, 0]), cell[inside, 0], cell[inside, 1])
        return counts.index_put(at, torch.ones(int(inside.sum())), accumulate=True)

    def tokenise(self, batch: Batch) -> BatchTokens:
        return BatchTokens(batch, lambda b: self.counts(b)[:, 0] > 0)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        assert isinstance(tokens, BatchTokens)
        return BEVMap(self.layers(self.counts(tokens.batch)), tokens.observed)


class CountHead(Head[Tensor]):
    """An invented task: the number of objects in the sample."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, 1)

    def forward(self, bev: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch"]:
        counts: Tensor = self.linear(bev.mean((2, 3))).squeeze(1)
        return counts

    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        assert batch.labels is not None
        wanted = torch.tensor([float(len(labels)) for labels in batch.labels])
        return {"square": ((self(bev) - wanted) ** 2).mean()}

    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> tuple[Tensor, ...]:
        return tuple(self(bev))


def toy_batch(seed: int, size: int = 2, cars: int = 2) -> Batch:
    """Cars of one size, each a bunch of points."""
    generator = torch.Generator().manual_seed(seed)
    clouds, labels = [], []
    for _ in range(size):
        centres = torch.rand(cars, 2, generator=generator) * torch.tensor([14.0, 9.0]) + torch.tensor([-7.0, -4.0])
        points = centres.repeat_interleave(10, 0) + 0.5 * torch.rand(10 * cars, 2, generator=generator)
        clouds.append(torch.cat((points, torch.zeros(len(points), 4)), dim=1))
        boxes = torch.cat((centres, torch.tensor([[0.5, 4.0, 2.0, 1.5, 0.3, 1.0, 0.0]]).expand(cars, 7)), dim=1)
        zeros = torch.zeros(cars, dtype=torch.int64)
        labels.append(Labels(boxes, zeros, zeros + 10, zeros, zeros, torch.arange(cars)))
    pose = torch.eye(4).repeat(size, 1, 1)
    return Batch(
        tokens=tuple(f"{seed}-{i}" for i in range(size)),
        scenes=("scene",) * size,
        seeds=torch.arange(size),
        global_from_level=pose.double(),
        bev_from_level=pose,
        lidar=Points(
            torch.cat(clouds), torch.arange(size).repeat_interleave(10 * cars), torch.ones(size, dtype=torch.bool)
        ),
        labels=tuple(labels),
    )


def toy_module(seed: int = 0, dropout: float = 0.0, **options: Any) -> FinetuneModule:
    torch.manual_seed(seed)
    backbone = CountingEncoder(dropout=dropout)
    neck = SecondFPNOptions(channels=(8, 8), layers=1, out_channels=8)
    task = DetectionTask(CenterPointOptions(shared_channels=8, channels=8))
    return FinetuneModule(neck, {"detection": task}, CARS, backbone, seed=seed, **options)


class ToyData(LightningDataModule):
    """Four batches over and over; goes on after those that a checkpoint counts."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def train_dataloader(self) -> "ToyData":
        return self

    def __len__(self) -> int:
        return 1000

    def __iter__(self) -> Iterator[Batch]:
        while self.done < len(self):
            self.done += 1
            yield toy_batch((self.done - 1) % 4)

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.done = state_dict["done"]


def trainer(steps: int, **options: Any) -> Trainer:
    defaults = {
        "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
        "enable_model_summary": False, "gradient_clip_val": 10.0,
    }  # fmt: skip
    return Trainer(max_steps=steps, **(defaults | options))


def fit(module: LightningModule, steps: int, ckpt_path: str | None = None, **options: Any) -> Trainer:
    fitter = trainer(steps, **options)
    fitter.fit(module, datamodule=ToyData(), ckpt_path=ckpt_path)
    return fitter
