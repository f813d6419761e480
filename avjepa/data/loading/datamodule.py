"""The LightningDataModules: from constructor arguments (the YAML keys) to batches."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.augmentation.gt_sampling import GTSampling
from avjepa.data.channels import SensorChannels
from avjepa.data.datasets import open_dataset
from avjepa.data.files.bad_files import BadFileLog
from avjepa.data.files.images import ImageTransform
from avjepa.data.files.radar import KEEP_ALL_RETURNS, RadarFilter
from avjepa.data.loading.batch_loader import BatchLoader, ResumableLoader
from avjepa.data.loading.collate import collate, collate_pretrain
from avjepa.data.loading.dataset import LabelledDataset, MomentDataset, OnBadFileOption, PretrainDataset
from avjepa.data.protocol import DrivingDataset
from avjepa.data.sample import Batch, PretrainBatch
from avjepa.data.sampling.class_balance import ClassBalancedOrder, items_by_class
from avjepa.data.sampling.sampler import BatchOrder, SampleRequest
from avjepa.data.sampling.scenes import chosen_scenes
from avjepa.data.sampling.teachable import require_something_to_teach
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, Sensor, SensorInputs, require_recorded
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError


def sensor_view(sensors: Sequence[str], lidar: LidarSweeps, radar: RadarSweeps, camera: ImageTransform) -> SensorInputs:
    """The parts that ``sensors`` names. Raises ``UserError`` for an unknown or an empty list."""
    unknown = [name for name in sensors if name not in ("lidar", "camera", "radar")]
    if unknown or not sensors:
        raise UserError(f"sensors: {list(sensors)} must name some of lidar, camera, radar")
    return SensorInputs(
        lidar if "lidar" in sensors else None,
        radar if "radar" in sensors else None,
        camera if "camera" in sensors else None,
    )


class _DataModule(pl.LightningDataModule):
    """What both modules share: opening the data set, the resumable training order, the list of bad files."""

    def __init__(
        self,
        dataroot: str,
        version: str,
        channels: SensorChannels | None,
        batch_size: int,
        workers: int,
        seed: int,
        steps: int | None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or workers < 0 or seed < 0 or (steps is not None and steps < 1):
            raise UserError(
                "data: batch_size and steps must be at least 1, workers and seed not negative; "
                f"got {batch_size}, {steps}, {workers} and {seed}"
            )
        self.dataroot = dataroot
        self.version = version
        self.channels = channels
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.steps = steps
        self.bad_files = BadFileLog()
        self._train_loader: ResumableLoader[Any] | None = None
        self._state: dict[str, int] = {}

    def prepare_data(self) -> None:
        """Build the cached index once, before the other processes of this machine open it."""
        self.open()

    def open(self) -> DrivingDataset:
        """The data set, without its annotations."""
        return self._with_channels(open_dataset(self.dataroot, self.version, self.channels))

    def _with_channels(self, source: DrivingDataset) -> DrivingDataset:
        """The data set, which has a channel of every sensor that is read."""
        require_recorded(self.read_sensors(), source.channels, source.recorded_channels, source.name)
        return source

    def read_sensors(self) -> tuple[Sensor, ...]:
        """The sensors that samples are made of."""
        raise NotImplementedError

    def fingerprints(self) -> dict[str, str]:
        """Which data this is: the fingerprint of the tables that training reads, by what they hold."""
        return {"index": self.open().fingerprint()}

    def _resumable(
        self,
        dataset: MomentDataset[Any],
        collate_items: Any,
        items_of_class: Sequence[Int64[Array, "_"]] | None = None,
    ) -> ResumableLoader[Any]:
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        common = len(dataset), self.batch_size, self.seed, rank, world_size
        order = BatchOrder(*common) if items_of_class is None else ClassBalancedOrder(items_of_class, *common)
        steps = self.steps
        if steps is None and trainer is not None and trainer.max_steps > 0:
            steps = trainer.max_steps * trainer.accumulate_grad_batches
        steps = steps or order.batches_per_epoch()
        draws = partial(_with_progress, order, steps)
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


class PretrainDataModule(_DataModule):
    """Moments without labels, as two views each.

    Args:
        dataroot: root of a dataset in nuScenes format.
        version: name of its folder of tables.
        channels: which channels are which sensor's; ``null`` for those of nuScenes.
        split: name of a split; ``null`` takes every scene.
        sensors: sensors of the context.
        target_sensors: sensors of the target, ``null`` for the same as the context's.
        lidar_sweeps: LiDAR sweeps up to the reference time.
        target_sweeps_before: further, earlier sweeps of LiDAR and radars that only the target sees.
        target_sweeps_after: later sweeps of theirs that only the target sees.
        target_sweep_stride: every how many recorded sweeps one of those is taken.
        radar_sweeps: sweeps of each radar.
        radar_filter: which radar returns to keep; ``null`` keeps all.
        image_size: height and width of the images.
        keyframes_only: leave out the moments between keyframes.
        scenes: names of scenes of the split, or how many (a seeded choice; a smaller one lies within a larger one).
        augmentation: of the BEV frame; ``null`` for none.
        independent_views: whether context and target are augmented independently.
        batch_size: moments per process and batch.
        workers: loading processes per training process.
        seed: of the order, the augmentation, the masks, and the choice of scenes.
        steps: batches of the training; ``null`` takes them from the trainer's ``max_steps``, or one pass over the data.
        on_bad_file: ``stop`` with an error that names the file, or ``skip`` it and take another moment.
    """

    def __init__(
        self,
        dataroot: str,
        version: str = "v1.0-trainval",
        channels: SensorChannels | None = None,
        split: str | None = "train",
        sensors: list[Sensor] = ["lidar"],  # noqa: B006
        target_sensors: list[Sensor] | None = None,
        lidar_sweeps: int = 1,
        target_sweeps_before: int = 0,
        target_sweeps_after: int = 0,
        target_sweep_stride: int = 1,
        radar_sweeps: int = 6,
        radar_filter: RadarFilter | None = None,
        image_size: tuple[int, int] = (256, 704),
        keyframes_only: bool = False,
        scenes: int | list[str] | None = None,
        augmentation: BEVAugmentation | None = None,
        independent_views: bool = False,
        batch_size: int = 4,
        workers: int = 2,
        seed: int = 0,
        steps: int | None = None,
        on_bad_file: OnBadFileOption = "stop",
    ) -> None:
        super().__init__(dataroot, version, channels, batch_size, workers, seed, steps)
        camera, keep = ImageTransform(*image_size), radar_filter or KEEP_ALL_RETURNS
        self.context = sensor_view(sensors, LidarSweeps(lidar_sweeps), RadarSweeps(radar_sweeps, keep=keep), camera)
        more = {"before": target_sweeps_before, "after": target_sweeps_after, "stride": target_sweep_stride}
        self.target = sensor_view(
            sensors if target_sensors is None else target_sensors,
            LidarSweeps(lidar_sweeps, **more),
            RadarSweeps(radar_sweeps, **more, keep=keep),
            camera,
        )
        self.split = split
        self.scenes = scenes
        self.keyframes_only = keyframes_only
        self.augmentation = augmentation
        self.independent_views = independent_views
        self.on_bad_file: OnBadFileOption = on_bad_file
        self.dataset: PretrainDataset | None = None

    def read_sensors(self) -> tuple[Sensor, ...]:
        """Those of context and target."""
        return tuple(dict.fromkeys((*self.context.sensors(), *self.target.sensors())))

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
        )

    def train_dataloader(self) -> ResumableLoader[PretrainBatch]:
        """Batches of pairs of views."""
        assert self.dataset is not None, "setup() comes first"
        return self._resumable(self.dataset, collate_pretrain)

    def context_loader(self, batches: int) -> BatchLoader[Batch]:
        """So many batches of contexts alone, augmented as in training, at most one pass over the data."""
        assert self.dataset is not None, "setup() comes first"
        order = BatchOrder(len(self.dataset), self.batch_size, self.seed)
        contexts = self.dataset.contexts()
        return BatchLoader(contexts, order.batch, min(batches, order.batches_per_epoch()), collate, self.workers)


class DetectionDataModule(_DataModule):
    """Keyframes with boxes.

    Args:
        dataroot: root of a dataset in nuScenes format.
        version: name of its folder of tables.
        channels: which channels are which sensor's; ``null`` for those of nuScenes.
        taxonomy: the classes: ``nuscenes``, or a YAML file of its form.
        train_split: split that is trained on.
        eval_split: split that is predicted and evaluated, after the training.
        validation_split: split whose loss is logged during the training; ``null`` for none.
        sensors: what to load; none for a backbone that keeps its maps.
        lidar_sweeps: LiDAR sweeps up to the reference time.
        radar_sweeps: sweeps of each radar.
        radar_filter: which radar returns to keep; ``null`` keeps all.
        image_size: height and width of the images.
        scenes: the scenes whose labels are used: names, or how many of the training split (a seeded choice; a smaller
            one lies within a larger one); ``null`` for all.
        augmentation: of the training samples; ``null`` for none.
        gt_sampling: pastes further objects of the chosen scenes into the LiDAR and the radar of the training samples,
            before they are augmented; ``null`` for none. Not with cameras.
        class_balanced: draw training keyframes so that every class of the chosen scenes comes up equally often (CBGS),
            instead of every keyframe.
        batch_size: keyframes per process and batch.
        workers: loading processes per training process.
        seed: of the order, the augmentation, and the choice of scenes.
        steps: batches of the training; ``null`` takes them from the trainer's ``max_steps``, or one pass over the data.
        on_bad_file: ``stop`` with an error that names the file, or ``skip``: training takes another keyframe,
            evaluation gives the keyframe without what the file held.
    """

    def __init__(
        self,
        dataroot: str,
        version: str = "v1.0-trainval",
        channels: SensorChannels | None = None,
        taxonomy: str = "nuscenes",
        train_split: str = "train",
        eval_split: str = "val",
        validation_split: str | None = None,
        sensors: list[Sensor] = ["lidar"],  # noqa: B006
        lidar_sweeps: int = 10,
        radar_sweeps: int = 6,
        radar_filter: RadarFilter | None = None,
        image_size: tuple[int, int] = (256, 704),
        scenes: int | list[str] | None = None,
        augmentation: BEVAugmentation | None = None,
        gt_sampling: GTSampling | None = None,
        class_balanced: bool = False,
        batch_size: int = 4,
        workers: int = 2,
        seed: int = 0,
        steps: int | None = None,
        on_bad_file: OnBadFileOption = "stop",
    ) -> None:
        super().__init__(dataroot, version, channels, batch_size, workers, seed, steps)
        # a split may have fewer batches than there are processes
        self.allow_zero_length_dataloader_with_multiple_devices = True
        radar = RadarSweeps(radar_sweeps, keep=radar_filter or KEEP_ALL_RETURNS)
        camera = ImageTransform(*image_size)
        self.view = sensor_view(sensors, LidarSweeps(lidar_sweeps), radar, camera) if sensors else SensorInputs()
        self.taxonomy = load_taxonomy(taxonomy)
        self.train_split = train_split
        self.eval_split = eval_split
        self.validation_split = validation_split
        self.scenes = scenes
        self.augmentation = augmentation
        self.gt_sampling = gt_sampling
        if gt_sampling is not None and (not sensors or "camera" in sensors):
            raise UserError(
                "data.gt_sampling: objects can be pasted neither into pictures nor into maps that are kept; "
                "have LiDAR or radar alone among sensors, or no gt_sampling"
            )
        if gt_sampling is not None:
            gt_sampling.check(self.taxonomy)
        self.class_balanced = class_balanced
        self.on_bad_file: OnBadFileOption = on_bad_file
        self.source: DrivingDataset | None = None

    def open(self) -> DrivingDataset:
        """The data set with the taxonomy's classes, without its annotations."""
        return self._with_channels(open_dataset(self.dataroot, self.version, self.channels, self.taxonomy))

    def read_sensors(self) -> tuple[Sensor, ...]:
        """Those of the view; none for a backbone that keeps its maps."""
        return self.view.sensors()

    def setup(self, stage: str | None = None) -> None:
        """Open the data set; its annotations are opened by the loaders that need them."""
        self.source = self.open()
        if self.validation_split is not None:
            self.source.scenes_of(self.validation_split)  # an unknown one is an error now, not in mid-training

    def fingerprints(self) -> dict[str, str]:
        """Of the annotations too, where there are any."""
        source = self.open()
        labels = {"annotations": source.label_fingerprint()} if source.has_labels() else {}
        return {"index": source.fingerprint(), **labels}

    def train_scenes(self) -> list[str]:
        """Names of the scenes whose labels training uses."""
        assert self.source is not None, "setup() comes first"
        return chosen_scenes(self.source.scenes_of(self.train_split), self.scenes, self.seed)

    def _warn_of_shared_scenes(self, trained: list[str]) -> None:
        """Say on stderr, once, that scenes are trained on and scored, unless one split was named for both."""
        assert self.source is not None, "setup() comes first"
        if self.eval_split == self.train_split or (self.trainer is not None and not self.trainer.is_global_zero):
            return
        with contextlib.suppress(UserError):
            if shared := sorted(set(trained) & set(self.source.scenes_of(self.eval_split))):
                logging.getLogger("avjepa").warning(
                    f"{len(shared)} scenes, {shared[0]} for one, are trained on and belong to the evaluated split "
                    f"{self.eval_split!r}, too: its score says little; mend splits.json or choose another eval_split"
                )

    def train_dataloader(self) -> ResumableLoader[Batch]:
        """Labelled, augmented batches in a resumable order.

        Raises:
            UserError: the chosen scenes hold no box that could be learned from.
        """
        assert self.source is not None, "setup() comes first"
        scenes = self.train_scenes()
        self._warn_of_shared_scenes(scenes)
        dataset = LabelledDataset(
            self.source,
            self.view,
            scenes,
            self.augmentation,
            self.on_bad_file,
            bad_files=self.bad_files,
            gt_sampling=self.gt_sampling,
        )
        boxes = self.source.boxes(dataset.moments)
        require_something_to_teach(self.source, dataset.moments, boxes)
        balance = items_by_class(boxes) if self.class_balanced else None
        return self._resumable(dataset, collate, balance)

    def val_dataloader(self) -> BatchLoader[Batch]:
        """Every keyframe of ``validation_split`` once, with labels, spread over the processes."""
        assert self.validation_split is not None, "there is no validation split"
        return self._every_keyframe(self.validation_split, with_labels=True)

    def predict_dataloader(self) -> BatchLoader[Batch]:
        """Every keyframe of ``eval_split`` once, without labels: works without annotation tables."""
        return self._every_keyframe(self.eval_split, with_labels=False)

    def _every_keyframe(self, split: str, with_labels: bool) -> BatchLoader[Batch]:
        assert self.source is not None, "setup() comes first"
        dataset = LabelledDataset(
            self.source,
            self.view,
            self.source.scenes_of(split),
            on_bad_file=self.on_bad_file,
            with_labels=with_labels,
            keep_every_keyframe=True,
            bad_files=self.bad_files,
        )
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        draws = [SampleRequest(item, item) for item in range(len(dataset))]
        batches = [draws[first : first + self.batch_size] for first in range(0, len(draws), self.batch_size)]
        # batches are made before they are shared out, so that each is what one process alone would have
        own = batches[rank::world_size]
        if with_labels and len(batches) < world_size:
            own = batches  # every process has to take part in a mean over processes; that of equal losses is theirs
        return BatchLoader(dataset, own.__getitem__, len(own), collate, self.workers)
