"""The LightningDataModule of pre-training: from constructor arguments (YAML keys) to batches of two views."""

from typing import Any

from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.loading.base_datamodule import DataModule
from avjepa.data.loading.batch_loader import BatchLoader, ResumableLoader
from avjepa.data.loading.collate import collate, collate_pretrain
from avjepa.data.loading.dataset import OnBadFileOption
from avjepa.data.loading.pretrain_dataset import PretrainDataset
from avjepa.data.sample import Batch, PretrainBatch
from avjepa.data.sampling.sampler import BatchOrder
from avjepa.data.sampling.scenes import chosen_scenes
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, Sensor, SensorInputs
from avjepa.ranges import require_number


class PretrainDataModule(DataModule):
    """Moments without labels, as two views each.

    Args:
        split: name of a split; ``null`` takes every scene.
        sensors: sensors of the context.
        target_sensors: sensors of the target, ``null`` for the same as the context's.
        lidar_sweeps: LiDAR sweeps up to the reference time.
        target_sweeps_before: further, earlier sweeps of LiDAR and radars that only the target sees.
        target_sweeps_after: later sweeps of theirs that only the target sees.
        target_sweep_stride: every how many recorded sweeps one of those is taken.
        target_ahead: seconds by which the target is later than the context; the future is predicted, ego motion
            compensated. Only moments that have such a later one count.
        keyframes_only: leave out the moments between keyframes; a target may lie between them.
        scenes: names of scenes of the split, or how many (a seeded choice; a smaller one lies within a larger one).
        augmentation: of the BEV frame; ``null`` for none.
        independent_views: whether context and target are augmented independently.
        batch_size: moments per process and batch.
        seed: of the order, the augmentation, the masks, and the choice of scenes.
        on_bad_file: ``stop`` with an error that names the file, or ``skip`` it and take another moment.
        **shared: options of every ``DataModule``.
    """

    def __init__(
        self,
        *,
        split: str | None = "train",
        sensors: list[Sensor] = ["lidar"],  # noqa: B006
        target_sensors: list[Sensor] | None = None,
        lidar_sweeps: int = 1,
        target_sweeps_before: int = 0,
        target_sweeps_after: int = 0,
        target_sweep_stride: int = 1,
        target_ahead: float = 0.0,
        keyframes_only: bool = False,
        scenes: int | list[str] | None = None,
        augmentation: BEVAugmentation | None = None,
        independent_views: bool = False,
        batch_size: int = 4,
        seed: int = 0,
        on_bad_file: OnBadFileOption = "stop",
        **shared: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, **shared)
        self.context = self.inputs_of(sensors, LidarSweeps(lidar_sweeps), self.radar)
        more = {"before": target_sweeps_before, "after": target_sweeps_after, "stride": target_sweep_stride}
        self.target = self.inputs_of(
            sensors if target_sensors is None else target_sensors,
            LidarSweeps(lidar_sweeps, **more),
            RadarSweeps(self.radar.sweeps, **more, keep=self.radar.keep),
        )
        require_number("data.target_ahead", target_ahead, at_least=0)
        self.target_ahead = target_ahead
        self.split = split
        self.scenes = scenes
        self.keyframes_only = keyframes_only
        self.augmentation = augmentation
        self.independent_views = independent_views
        self.on_bad_file: OnBadFileOption = on_bad_file
        self.dataset: PretrainDataset | None = None

    def all_inputs(self) -> tuple[SensorInputs, ...]:
        """Those of context and target."""
        return self.context, self.target

    def all_moments(self) -> Int64[Array, "moment"]:
        """Those of the dataset's contexts and targets."""
        assert self.dataset is not None, "setup() comes first"
        return self.dataset.read_moments()

    def setup(self, stage: str | None = None) -> None:
        """Open the dataset. Never opens an annotation table."""
        source = self.open()
        self.dataset = PretrainDataset(
            source,
            self.context,
            self.target,
            scenes=chosen_scenes(source.scenes_of(self.split), self.scenes, self.seed),
            keyframes_only=self.keyframes_only,
            augmentation=self.augmentation,
            independent_views=self.independent_views,
            on_bad_file=self.on_bad_file,
            bad_files=self.bad_files,
            reader=self.reader_of(source),
            target_ahead=self.target_ahead,
        )
        self.require_packed(self.dataset.reader, self.dataset.read_moments())

    def train_dataloader(self) -> ResumableLoader[PretrainBatch]:
        """Batches of pairs of views."""
        assert self.dataset is not None, "setup() comes first"
        return self.resumable(self.dataset, collate_pretrain)

    def context_loader(self, batches: int) -> BatchLoader[Batch]:
        """So many batches of contexts alone, augmented as in training, at most one pass over the data."""
        assert self.dataset is not None, "setup() comes first"
        order = BatchOrder(len(self.dataset), self.batch_size, self.seed)
        contexts = self.dataset.contexts()
        return BatchLoader(contexts, order.batch, min(batches, order.batches_per_epoch()), collate, self.workers)
