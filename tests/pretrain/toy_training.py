"""A small pre-training that draws on everything a resume has to restore; also run as a script by the tests.

``python -m tests.pretrain.toy_training RUN_DIRECTORY [key=value ...]`` trains, resuming from a last checkpoint if any.
"""

import copy
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from avjepa.data.sample import Batch, Points, PretrainBatch
from avjepa.encoders.base import BEVMap, SensorEncoder, Tokens
from avjepa.geometry.grid import BEVGrid
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.pretrain.objectives.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.training.checkpoints import last_checkpoint
from avjepa.training.console import quiet_lightning
from avjepa.training.defaults import default_callbacks, default_loggers, default_plugins
from tests.batch_tokens import BatchTokens

GRID = BEVGrid(-4.0, 4.0, -3.0, 3.0, 1.0)
SAMPLES = 12
PEAK_LEARNING_RATE = 0.05


def toy_batch(seeds: Sequence[int], points: int = 30) -> PretrainBatch:
    """Random clouds, each a function of its seed."""
    clouds = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        clouds.append((torch.rand(points, 6, generator=generator) - 0.5) * torch.tensor([8.0, 6, 2, 1, 1, 1]))
    size = len(seeds)
    index = torch.arange(size).repeat_interleave(points)
    pose = torch.eye(4).expand(size, 4, 4)
    batch = Batch(
        tokens=tuple(str(seed) for seed in seeds),
        scenes=("scene",) * size,
        seeds=torch.tensor(seeds, dtype=torch.int64),
        global_from_level=pose.double(),
        bev_from_level=pose,
        lidar=Points(torch.cat(clouds), index, torch.ones(size, dtype=torch.bool)),
    )
    return PretrainBatch(batch, batch)


class ToyEncoder(SensorEncoder):
    """Counts points in cells and convolves; ``dropout`` draws from the global generator."""

    def __init__(self, channels: int = 8, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        self.token_grid, self.out_channels, self.intermediate_channels = GRID, channels, ()
        self.convolution = nn.Conv2d(1, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def count(self, batch: Batch) -> Tensor:
        """Points per cell."""
        assert batch.lidar is not None
        cell, inside = GRID.cell_of(batch.lidar.xyz[:, :2].contiguous())
        counts = torch.zeros(len(batch), *GRID.shape, device=batch.seeds.device)
        place = (batch.lidar.batch_index[inside], cell[inside, 0], cell[inside, 1])
        return counts.index_put(place, torch.ones((), device=counts.device), accumulate=True)

    def tokenise(self, batch: Batch) -> BatchTokens:
        return BatchTokens(batch, lambda b: self.count(b) > 0)

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        assert isinstance(tokens, BatchTokens)
        counts = self.count(tokens.batch)
        if masked is not None:
            counts = counts.masked_fill(masked, 0.0)
        return BEVMap(self.dropout(self.norm(self.convolution(counts[:, None]))), counts > 0)


class ToyObjective(Objective):
    """A JEPA in miniature: hidden cells by the samples' seeds, an EMA teacher, a linear predictor."""

    def __init__(self, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        self.encoder: SensorEncoder = ToyEncoder(dropout=dropout, norm=norm)
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)
        self.predictor = nn.Conv2d(8, 8, 1)
        self.token = nn.Parameter(torch.zeros(8))
        self.steps_seen: list[int] = []

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        generators = [torch.Generator().manual_seed(int(seed)) for seed in batch.context.seeds]
        masked = torch.stack([torch.rand(GRID.shape, generator=g) < 0.5 for g in generators])
        context = self.encoder(batch.context, masked)
        with torch.no_grad():
            target = self.teacher(batch.target).features
        tokens = self.token[:, None, None] * masked[:, None]
        prediction = self.predictor(context.features + tokens)
        error = (prediction - target).square().mean(1)
        loss = ((error * masked).sum((1, 2)) / masked.sum((1, 2))).mean()
        predicted, wanted = (x.detach().permute(0, 2, 3, 1)[masked] for x in (prediction, target))
        occupied = self.encoder.tokenise(batch.context).observed
        embeddings = Embeddings(context.features.detach(), masked, occupied, masked, predicted, wanted)
        return ObjectiveOutput(loss, {"prediction": loss.detach()}, embeddings)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        self.steps_seen.append(step)
        momentum = min(0.99, step / 10)
        theirs, ours = self.teacher.state_dict(), self.encoder.state_dict()
        for name, tensor in theirs.items():
            if tensor.is_floating_point():
                tensor.lerp_(ours[name], 1 - momentum)


class Numbers(Dataset[int]):
    """Item i is i."""

    def __getitem__(self, index: int) -> int:
        return index


class EndlessSampler(Sampler[int]):
    """All of a training's samples in one epoch, starting behind those that were consumed."""

    def __init__(self, total: int, start: int, rank: int, processes: int) -> None:
        self.total, self.start, self.rank, self.processes = total, start, rank, processes

    def __len__(self) -> int:
        return self.total // self.processes

    def __iter__(self) -> Iterator[int]:
        for place in range(self.start, self.total):
            if place % self.processes == self.rank:
                order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(place // SAMPLES))
                yield 1000 * (place // SAMPLES) + int(order[place % SAMPLES])


class ToyData(LightningDataModule):
    """Deterministic and resumable."""

    def __init__(self, batch_size: int, workers: int = 0) -> None:
        super().__init__()
        self.batch_size, self.workers = batch_size, workers
        self.consumed = 0

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        steps = self.trainer.global_step * self.trainer.accumulate_grad_batches
        return {"consumed": steps * self.batch_size * self.trainer.world_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.consumed = state_dict["consumed"]

    def train_dataloader(self) -> DataLoader[int]:
        assert self.trainer is not None
        per_step = self.batch_size * self.trainer.accumulate_grad_batches * self.trainer.world_size
        sampler = EndlessSampler(
            self.trainer.max_steps * per_step, self.consumed, self.trainer.global_rank, self.trainer.world_size
        )
        return DataLoader(
            Numbers(),
            self.batch_size,
            sampler=sampler,
            collate_fn=lambda seeds: toy_batch(seeds),
            num_workers=self.workers,
            multiprocessing_context="fork" if self.workers else None,
        )


class KillAt(Callback):
    """SIGKILL in the middle of a batch, as a power cut would."""

    def __init__(self, batch: int, where: str) -> None:
        self.batch, self.where = batch, where

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.where == "start" and batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if self.where == "step" and trainer.fit_loop.total_batch_idx >= self.batch:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.where == "end" and batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGKILL)


def train(
    run: Path,
    *,
    steps: int = 12,
    accumulate: int = 1,
    every: int = 3,
    workers: int = 0,
    batch_size: int = 2,
    devices: int = 1,
    callbacks: Sequence[Callback] = (),
    dropout: float = 0.2,
    norm: bool = True,
    **trainer: Any,
) -> PretrainModule:
    """Train on the CPU, resuming if there is a checkpoint."""
    quiet_lightning()
    torch.manual_seed(1)  # initial weights; whatever follows must not depend on it
    objective = ToyObjective(dropout, norm)
    module = PretrainModule(objective, PEAK_LEARNING_RATE, warmup_fraction=min(3, abs(steps) - 1) / abs(steps), seed=5)
    resume = last_checkpoint(run / "checkpoints")
    if resume is not None:
        torch.manual_seed(2)
    Trainer(
        accelerator="cpu",
        devices=devices,
        max_steps=steps,
        accumulate_grad_batches=accumulate,
        callbacks=[*default_callbacks(run, every), *callbacks],
        logger=default_loggers(run),
        plugins=default_plugins(),
        default_root_dir=str(run),
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=1,
        **trainer,
    ).fit(module, datamodule=ToyData(batch_size, workers), ckpt_path=resume)
    return module


if __name__ == "__main__":
    torch.set_num_threads(1)
    options = dict(argument.split("=") for argument in sys.argv[2:])
    where, kill_at = options.pop("where", "start"), int(options.pop("kill", -1))
    train(Path(sys.argv[1]), callbacks=[KillAt(kill_at, where)], **{k: int(v) for k, v in options.items()})
