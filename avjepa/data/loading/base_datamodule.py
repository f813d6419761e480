"""What every LightningDataModule has: the common options (YAML keys), the data set, a training order that resumes."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import open_dataset
from avjepa.data.files.bad_files import BadFileLog
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.radar import KEEP_ALL_RETURNS, RadarFilter
from avjepa.data.loading.batch_loader import ResumableLoader
from avjepa.data.loading.dataset import MomentDataset
from avjepa.data.packed.reader import PackedMoments
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import MomentReader
from avjepa.data.sampling.sampler import BatchOrder, SampleRequest
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, Sensor, SensorInputs, require_recorded
from avjepa.errors import UserError
from avjepa.ranges import require_number

_MOST = 10_000  # samples or processes: more than a computer holds


class DataModule(pl.LightningDataModule, ABC):
    """What all modules share: common options, opening the data set, the resumable order, the list of bad files.

    Args:
        dataroot: root of a dataset.
        version: which part of it: name of a folder below the root.
        channels: which channels are which sensor's; ``null`` for those of the dataset.
        radar_sweeps: sweeps of each radar.
        radar_filter: which radar returns to keep; ``null`` keeps all.
        image_size: height and width of the images.
        batch_size: samples per process and batch.
        workers: loading processes per training process.
        seed: of whatever is left to chance.
        steps: batches of the training; ``null`` takes them from the trainer's ``max_steps``, or one pass over the data.
        cache: folder that ``avjepa pack`` wrote, to read samples from instead of the sensor files; ``null`` for none.

    Raises:
        UserError: an option has a value that it cannot have.
    """

    def __init__(
        self,
        dataroot: str,
        version: str = "v1.0-trainval",
        channels: SensorChannels | None = None,
        radar_sweeps: int = 6,
        radar_filter: RadarFilter | None = None,
        image_size: tuple[int, int] = (256, 704),
        batch_size: int = 4,
        workers: int = 2,
        seed: int = 0,
        steps: int | None = None,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        require_number("data.batch_size", batch_size, at_least=1, at_most=_MOST)
        require_number("data.workers", workers, at_least=0, at_most=_MOST)
        require_number("data.seed", seed, at_least=0)
        require_number("data.steps", 1 if steps is None else steps, at_least=1)
        self.dataroot = dataroot
        self.version = version
        self.channels = channels
        self.radar = RadarSweeps(radar_sweeps, keep=radar_filter or KEEP_ALL_RETURNS)
        self.camera = ImageTransform(*image_size)
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.steps = steps
        self.cache = cache
        self.bad_files = BadFileLog()
        self._train_loader: ResumableLoader[Any] | None = None
        self._state: dict[str, int] = {}

    def prepare_data(self) -> None:
        """Build the cached index once, before the other processes of this machine open it."""
        self.open()

    def open(self) -> DrivingDataset:
        """The data set, without its annotations."""
        return self.with_channels(open_dataset(self.dataroot, self.version, self.channels))

    def with_channels(self, source: DrivingDataset) -> DrivingDataset:
        """The data set, which has a channel of every sensor that is read."""
        require_recorded(self.read_sensors(), source.channels, source.recorded_channels, source.name)
        return source

    def inputs_of(self, sensors: Sequence[str], lidar: LidarSweeps, radar: RadarSweeps) -> SensorInputs:
        """The parts that ``sensors`` names. Raises ``UserError`` for an unknown or an empty list."""
        unknown = [name for name in sensors if name not in ("lidar", "camera", "radar")]
        if unknown or not sensors:
            raise UserError(f"sensors: {list(sensors)} must name some of lidar, camera, radar")
        return SensorInputs(
            lidar if "lidar" in sensors else None,
            radar if "radar" in sensors else None,
            self.camera if "camera" in sensors else None,
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch on the device. The copy to a GPU is not waited for: it is from page-locked memory.

        Lightning would ask that of plain tensors alone.
        """
        return batch.to(device, non_blocking=device.type == "cuda")

    @abstractmethod
    def all_inputs(self) -> tuple[SensorInputs, ...]:
        """What is loaded of a moment, for each of its views."""

    @abstractmethod
    def all_moments(self) -> Int64[Array, "moment"]:
        """What is trained on and evaluated, ascending: what a cache has to hold. ``setup`` comes first."""

    def read_sensors(self) -> tuple[Sensor, ...]:
        """The sensors that samples are made of."""
        return tuple(dict.fromkeys(sensor for inputs in self.all_inputs() for sensor in inputs.sensors()))

    def reader_of(self, source: DrivingDataset) -> MomentReader:
        """Where moments are read from: the cache, or the data set itself.

        Raises:
            UserError: the cache is of another data set, or does not hold what is read of a moment.
        """
        return source if self.cache is None else PackedMoments(self.cache, source, self.all_inputs())

    @staticmethod
    def require_packed(reader: MomentReader, moments: Int64[Array, "moment"]) -> None:
        """Raise ``UserError`` unless a cache, where one is read, holds all of these moments."""
        if isinstance(reader, PackedMoments):
            reader.require(moments)

    def fingerprints(self) -> dict[str, str]:
        """Which data this is: the fingerprint of the tables that training reads, by what they hold."""
        return {"index": self.open().fingerprint()}

    def resumable(
        self,
        dataset: MomentDataset[Any],
        collate_items: Any,
        order: Callable[..., BatchOrder] | None = None,
    ) -> ResumableLoader[Any]:
        """Training batches of a dataset in this process's share of a seeded order.

        Args:
            dataset: what is drawn from.
            collate_items: makes a batch of a list of items.
            order: makes the order from batch size, seed, rank and world size; ``None`` for every item once a pass.
        """
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        made = (order or partial(BatchOrder, len(dataset)))(
            batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        steps = self.steps
        if steps is None and trainer is not None and trainer.max_steps > 0:
            steps = trainer.max_steps * trainer.accumulate_grad_batches
        steps = steps or made.batches_per_epoch()
        draws = partial(_with_progress, made, steps)
        self._train_loader = ResumableLoader(dataset, draws, steps, collate_items, self.workers)
        if self._state:
            self._train_loader.load_state_dict(self._state)
        return self._train_loader

    def state_dict(self) -> dict[str, Any]:
        """The number of training batches consumed."""
        return self._train_loader.state_dict() if self._train_loader else self._state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let training go on after the batches that the state counts."""
        self._state = dict(state_dict)

    def teardown(self, stage: str) -> None:
        """List the files that were skipped."""
        summary = self.bad_files.summary()
        if summary:
            logging.getLogger("avjepa").warning(summary)


def _with_progress(order: BatchOrder, steps: int, number: int) -> list[SampleRequest]:
    return [replace(draw, progress=number / steps) for draw in order.batch(number)]
