"""The LightningDataModule of whatever reads labelled keyframes: from constructor arguments (YAML keys) to batches."""

import contextlib
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.augmentation.gt_sampling import GTSampling
from avjepa.data.datasets import layout_at, open_dataset
from avjepa.data.degradation import Degradation, DegradedReader
from avjepa.data.labels import BoxQueries, BoxQueriesOf
from avjepa.data.loading.base_datamodule import DataModule
from avjepa.data.loading.batch_loader import BatchLoader, ResumableLoader
from avjepa.data.loading.collate import collate
from avjepa.data.loading.dataset import LabelledDataset, OnBadFileOption
from avjepa.data.protocol import BoxSummary, DrivingDataset
from avjepa.data.pseudo_labels import PseudoLabels
from avjepa.data.sample import Batch
from avjepa.data.sampling.class_balance import ClassBalancedOrder, items_by_class
from avjepa.data.sampling.clips import ClipOrder, Clips
from avjepa.data.sampling.every_item import batches_of_every_item
from avjepa.data.sampling.sampler import BatchOrder
from avjepa.data.sampling.scenes import chosen_scenes
from avjepa.data.sampling.teachable import require_something_to_teach
from avjepa.data.sensor_inputs import LidarSweeps, Sensor, SensorInputs
from avjepa.data.taxonomy import load_taxonomy
from avjepa.errors import UserError, counted
from avjepa.geometry.grid import BEVGrid


class DetectionDataModule(DataModule):
    """Keyframes with boxes.

    Args:
        taxonomy: the classes: a YAML file, or the name of one of the package (``nuscenes``); ``null`` for those of the
            dataset.
        train_split: split that is trained on.
        eval_split: split that is predicted and evaluated, after the training.
        validation_split: split whose loss is logged during the training; ``null`` for none.
        sensors: what to load.
        lidar_sweeps: LiDAR sweeps up to the reference time.
        scenes: the scenes whose labels are used: names, or how many of the training split (a seeded choice; a smaller
            one lies within a larger one), 0 for none, where there are pseudo-labels; ``null`` for all.
        augmentation: of the training samples; ``null`` for none.
        gt_sampling: pastes further objects of the chosen scenes into the LiDAR and the radar of the training samples,
            before they are augmented; ``null`` for none. Not with cameras.
        class_balanced: draw training keyframes so that every class of the chosen scenes comes up equally often (CBGS),
            instead of every keyframe.
        clips: draw training keyframes in clips of one scene, which heads need that learn what stays the same over time;
            ``null`` for each by itself.
        batch_size: keyframes per process and batch; with clips a multiple of their length.
        seed: of the order, the augmentation, and the choice of scenes.
        on_bad_file: ``stop`` with an error that names the file, or ``skip``: training takes another keyframe,
            evaluation gives the keyframe without what the file held.
        **shared: options of every ``DataModule``.

    Attributes:
        map_grids: grids on which labelled samples say what can be driven on. No option: heads ask for theirs.
        needs_boxes: whether something is taught from boxes, without which training is refused. No option either.
        needs_queries: whether samples that are evaluated hold boxes that a head is asked about. No option either.
        queries: gives them; ``None`` for the annotated ones.
        pseudo_labels: boxes of a model or of ``avjepa pseudo-objects``, taught on training scenes beside those whose
            labels are used; ``None`` for none.
        reads_maps: whether the maps of a backbone are there, so that no sensor file need be opened. No option either.
    """

    def __init__(
        self,
        *,
        taxonomy: str | None = None,
        train_split: str = "train",
        eval_split: str = "val",
        validation_split: str | None = None,
        sensors: list[Sensor] = ["lidar"],  # noqa: B006
        lidar_sweeps: int = 10,
        scenes: int | list[str] | None = None,
        augmentation: BEVAugmentation | None = None,
        gt_sampling: GTSampling | None = None,
        class_balanced: bool = False,
        clips: Clips | None = None,
        batch_size: int = 4,
        seed: int = 0,
        on_bad_file: OnBadFileOption = "stop",
        **shared: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, **shared)
        # a split may have fewer batches than there are processes
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.inputs = self.inputs_of(sensors, LidarSweeps(lidar_sweeps), self.radar)
        self.taxonomy = load_taxonomy(taxonomy or layout_at(self.dataroot, self.version).taxonomy)
        self.train_split = train_split
        self.eval_split = eval_split
        self.validation_split = validation_split
        self.scenes = scenes
        self.augmentation = augmentation
        self.gt_sampling = gt_sampling
        if gt_sampling is not None and "camera" in sensors:
            raise UserError(
                "data.gt_sampling: objects cannot be pasted into pictures; have LiDAR or radar alone among sensors, or "
                "no gt_sampling"
            )
        if gt_sampling is not None:
            gt_sampling.check(self.taxonomy)
        if clips is not None and class_balanced:
            raise UserError(
                "data.class_balanced: keyframes are drawn one by one for it, with data.clips together; choose"
            )
        if clips is not None and batch_size % clips.length:
            raise UserError(
                f"data.batch_size: {batch_size} is no multiple of data.clips.length, {clips.length}; make it one"
            )
        self.class_balanced, self.clips = class_balanced, clips
        self.on_bad_file: OnBadFileOption = on_bad_file
        self.source: DrivingDataset | None = None
        self.map_grids: tuple[BEVGrid, ...] = ()
        self.needs_boxes = True
        self.queries: BoxQueriesOf | None = None
        self.pseudo_labels: PseudoLabels | None = None
        self.needs_queries = False
        self.reads_maps = False
        self._degradation: tuple[Degradation, int] | None = None

    def show(self, sensors: Collection[Sensor], degradation: Degradation | None = None, seed: int = 0) -> None:
        """From now on evaluation is shown these sensors alone, degraded so.

        Args:
            sensors: of those that are loaded.
            degradation: what goes wrong with them; ``None`` for nothing.
            seed: of everything random in it.
        """
        self.inputs = self.inputs.of(sensors)
        self._degradation = None if degradation is None else (degradation, seed)

    def open(self) -> DrivingDataset:
        """The data set with the taxonomy's classes, without its annotations."""
        return self.with_channels(open_dataset(self.dataroot, self.version, self.channels, self.taxonomy))

    def loaded(self) -> SensorInputs:
        """What samples are made of: nothing where maps are read."""
        return SensorInputs() if self.reads_maps else self.inputs

    def all_inputs(self) -> tuple[SensorInputs, ...]:
        """The one view there is."""
        return (self.inputs,)

    def all_moments(self) -> Int64[Array, "moment"]:
        """The keyframes of the chosen scenes, and of the splits for validation and evaluation."""
        assert self.source is not None, "setup() comes first"
        evaluated = [split for split in (self.validation_split, self.eval_split) if split is not None]
        scenes = {*self.train_scenes(), *(scene for split in evaluated for scene in self.source.scenes_of(split))}
        return self.source.moments(sorted(scenes), keyframes_only=True)

    def setup(self, stage: str | None = None) -> None:
        """Open the data set; its annotations are opened by the loaders that need them."""
        self.source = self.open()
        self.reader = self.reader_of(self.source)
        if self.validation_split is not None:
            self.source.scenes_of(self.validation_split)  # an unknown one is an error now, not in mid-training

    def fingerprints(self) -> dict[str, str]:
        """Of the taxonomy too, of the annotations where there are any, and of pseudo-labels."""
        source = self.open()
        pseudo = {} if self.pseudo_labels is None else {"pseudo_labels": self.pseudo_labels.digest}
        labels = {"annotations": source.label_fingerprint()} if source.has_labels() else {}
        return {"index": source.fingerprint(), "taxonomy": self.taxonomy.digest(), **labels, **pseudo}

    def train_scenes(self) -> list[str]:
        """Names of the scenes that training learns from: those whose labels it uses, and those with pseudo-labels.

        Raises:
            UserError: there is none.
        """
        further = () if self.pseudo_labels is None else self.pseudo_labels.scenes
        if scenes := sorted({*self.annotated_scenes(), *further}):
            return scenes
        raise UserError(
            f"data.scenes: {self.scenes} leaves no scene to learn from; choose at least 1, or teach boxes that nobody "
            "annotated with avjepa finetune --pseudo_labels FILE"
        )

    def annotated_scenes(self) -> list[str]:
        """Names of the training scenes whose labels are used."""
        assert self.source is not None, "setup() comes first"
        available = self.source.scenes_of(self.train_split)
        return chosen_scenes(available, self.scenes, self.seed, least=0)

    def _warn_of_shared_scenes(self, trained: list[str]) -> None:
        """Say on stderr, once, that scenes are trained on and scored, unless one split was named for both."""
        assert self.source is not None, "setup() comes first"
        if self.eval_split == self.train_split or (self.trainer is not None and not self.trainer.is_global_zero):
            return
        with contextlib.suppress(UserError):
            if shared := sorted(set(trained) & set(self.source.scenes_of(self.eval_split))):
                logging.getLogger("avjepa").warning(
                    f"the evaluated split {self.eval_split!r} shares {counted(len(shared), 'scene')} with the "
                    f"training, {shared[0]} for one: its score says little; mend splits.json or name another eval_split"
                )

    def train_dataloader(self) -> ResumableLoader[Batch]:
        """Labelled, augmented batches in a resumable order.

        Raises:
            UserError: the chosen scenes hold no box that could be learned from, where any is needed.
        """
        assert self.source is not None, "setup() comes first"
        scenes = self.train_scenes()
        self._warn_of_shared_scenes(scenes)
        dataset = LabelledDataset(
            self.source,
            self.loaded(),
            scenes,
            self.augmentation,
            self.on_bad_file,
            bad_files=self.bad_files,
            gt_sampling=self.gt_sampling,
            reader=self.reader,
            map_grids=self.map_grids,
            needs_boxes=self.needs_boxes,
            pseudo=self.pseudo_labels,
        )
        if not self.reads_maps:
            self.require_packed(self.reader, dataset.moments)
        labelled = self.annotated_scenes()  # no other label is looked at
        if not labelled or not (self.needs_boxes or self.class_balanced or self.clips):
            return self.resumable(dataset, collate)
        annotated = self.source.moments(labelled, keyframes_only=True)
        boxes = self.source.boxes(annotated)
        require_something_to_teach(self.source, annotated, boxes)
        return self.resumable(dataset, collate, self._order(annotated, boxes))

    def _order(self, moments: Int64[Array, "item"], boxes: BoxSummary) -> Callable[..., BatchOrder] | None:
        """In which order the keyframes are drawn; ``None`` for each once a pass."""
        assert self.source is not None, "setup() comes first"
        if self.class_balanced:
            return partial(ClassBalancedOrder, items_by_class(boxes), len(moments))
        if self.clips is None:
            return None
        numbers = moments.tolist()
        times = np.array([self.source.time_of(moment) for moment in numbers], np.int64)
        return partial(ClipOrder, list(map(self.source.scene_of, numbers)), times, self.clips)

    def val_dataloader(self) -> BatchLoader[Batch]:
        """Every keyframe of ``validation_split`` once, with labels, spread over the processes."""
        assert self.validation_split is not None, "there is no validation split"
        return self._every_keyframe(self.validation_split, with_labels=True)

    def predict_dataloader(self) -> BatchLoader[Batch]:
        """Every keyframe of ``eval_split`` once, without labels.

        Works without annotation tables, unless a head is asked about the boxes that are annotated.
        """
        return self._every_keyframe(self.eval_split, with_labels=False)

    def _queries(self) -> BoxQueriesOf:
        """What heads are asked about. Raises ``UserError`` where that is what nobody annotated."""
        assert self.source is not None, "setup() comes first"
        if self.queries is None and not self.source.has_labels():
            raise UserError(
                f"{self.source.name}: has no annotated boxes, about which the model is asked; give detected ones, "
                "with avjepa evaluate --boxes FILE"
            )
        return self.queries or partial(_annotated, self.source)

    def _degraded(self, degradation: Degradation, seed: int) -> DegradedReader:
        assert self.source is not None, "setup() comes first"
        return DegradedReader(self.reader, self.source, degradation, seed)

    def _every_keyframe(self, split: str, with_labels: bool) -> BatchLoader[Batch]:
        assert self.source is not None, "setup() comes first"
        dataset = LabelledDataset(
            self.source,
            self.loaded(),
            self.source.scenes_of(split),
            on_bad_file=self.on_bad_file,
            with_labels=with_labels,
            keep_every_keyframe=True,
            bad_files=self.bad_files,
            map_grids=self.map_grids,
            needs_boxes=self.needs_boxes,
            queries=self._queries() if self.needs_queries else None,
            reader=self.reader if self._degradation is None else self._degraded(*self._degradation),
        )
        if not self.reads_maps:
            self.require_packed(self.reader, dataset.moments)
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        own = batches_of_every_item(len(dataset), self.batch_size, rank, world_size, some_for_each=with_labels)
        return BatchLoader(dataset, own.__getitem__, len(own), collate, self.workers)


def _annotated(source: DrivingDataset, moment: int) -> BoxQueries:
    return BoxQueries.annotated(source.labels(moment), source.track_name)
