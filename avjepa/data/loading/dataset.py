"""Moments of a dataset as samples, and labelled keyframes for everything but pre-training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.augmentation.gt_database import GTDatabase
from avjepa.data.augmentation.gt_sampling import GTSampling
from avjepa.data.files.bad_files import BadFileLog
from avjepa.data.labels import BoxQueriesOf, Labels
from avjepa.data.map_mask import UNKNOWN
from avjepa.data.protocol import DrivingDataset
from avjepa.data.pseudo_labels import PseudoLabels
from avjepa.data.reading import MomentReader, load_samples
from avjepa.data.sample import Sample
from avjepa.data.sampling.sampler import SampleRequest
from avjepa.data.sensor_inputs import OnBadFile, SensorInputs, stop_at_bad_file
from avjepa.errors import BadFileError, UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import inverse

Item = TypeVar("Item", covariant=True)

OnBadFileOption: TypeAlias = Literal["stop", "skip"]


class MomentDataset(ABC, Generic[Item]):
    """Items by ``SampleRequest``. With ``on_bad_file="skip"``, a draw that meets a bad file is replaced by another one.

    A bad file among the further sweeps that thicken a cloud is left out of it, and the draw stays. The replacement
    depends on the draw's seed and the files only, so a resumed run makes the same one.
    """

    def __init__(self, moments: Int64[Array, "item"], on_bad_file: OnBadFileOption, bad_files: BadFileLog) -> None:
        if not len(moments):
            raise UserError("the dataset: no moment is left to load; see 'avjepa inspect' for what there is")
        self.moments = moments
        self.on_bad_file = on_bad_file
        self.bad_files = bad_files
        self._bad_moments: set[int] = set()

    def __len__(self) -> int:
        return len(self.moments)

    @abstractmethod
    def load(self, moment: int, draw: SampleRequest) -> Item:
        """The item of a moment of the data set, which need not be the draw's own. Raises ``BadFileError``."""

    def __getitem__(self, draw: SampleRequest) -> Item:
        if self.on_bad_file == "stop":
            return self.load(int(self.moments[draw.index]), draw)
        item = self._load_unless_bad(draw.index, draw)
        if item is not None:
            return item
        self.bad_files.add_replaced_draw()
        for index in np.random.default_rng((draw.seed, 0xBAD)).permutation(len(self)):
            item = self._load_unless_bad(int(index), draw)
            if item is not None:
                return item
        path = next(iter(self.bad_files.files()))
        raise UserError(f"{path}: this file and one of every other moment are bad; see 'avjepa inspect'")

    def _leave_out_further_sweeps(self, error: BadFileError, of_the_moment: bool) -> None:
        if of_the_moment:
            raise error
        self.bad_files.add(error)

    def _leave_out(self, error: BadFileError, of_the_moment: bool) -> None:
        self.bad_files.add(error)

    def _load_unless_bad(self, index: int, draw: SampleRequest) -> Item | None:
        if index in self._bad_moments:
            return None
        try:
            return self.load(int(self.moments[index]), draw)
        except BadFileError as error:
            self._bad_moments.add(index)
            self.bad_files.add(error)
            return None


class LabelledDataset(MomentDataset[Sample]):
    """Keyframes with labels.

    Args:
        source: the data set.
        inputs: what to load.
        scenes: names of the scenes; all for ``None``.
        augmentation: of the sample.
        on_bad_file: stop with the error or skip: take another keyframe, or with ``keep_every_keyframe`` give the same
            one without what the bad file held.
        with_labels: false gives samples without labels, for prediction.
        keep_every_keyframe: for evaluation, which needs every keyframe exactly once.
        bad_files: where skipped files are noted.
        gt_sampling: pastes further objects into the LiDAR and the radar, cut out of these very keyframes; for training
            only.
        reader: where the keyframes are read from; ``None`` for the data set itself.
        map_grids: grids on which samples with labels say what can be driven on.
        queries: gives the boxes that a head is asked about at a keyframe; ``None`` where none asks.
        pseudo: labels of further scenes, which take the place of annotations there; their maps are not looked at.
        needs_boxes: false lets a data set without annotations give labels without boxes, instead of refusing it.

    Raises ``UserError`` where the map of a scene is needed and cannot be read.
    """

    def __init__(
        self,
        source: DrivingDataset,
        inputs: SensorInputs,
        scenes: list[str] | None = None,
        augmentation: BEVAugmentation | None = None,
        on_bad_file: OnBadFileOption = "stop",
        with_labels: bool = True,
        keep_every_keyframe: bool = False,
        bad_files: BadFileLog | None = None,
        gt_sampling: GTSampling | None = None,
        reader: MomentReader | None = None,
        map_grids: Sequence[BEVGrid] = (),
        needs_boxes: bool = True,
        queries: BoxQueriesOf | None = None,
        pseudo: PseudoLabels | None = None,
    ) -> None:
        super().__init__(source.moments(scenes, keyframes_only=True), on_bad_file, bad_files or BadFileLog())
        self._pseudo = pseudo
        self._source = source
        self.reader = reader or source
        self.with_labels = with_labels
        self.inputs = inputs
        self.augmentation = augmentation
        skipping = self._leave_out if keep_every_keyframe else self._leave_out_further_sweeps
        self._handler: OnBadFile = skipping if on_bad_file == "skip" else stop_at_bad_file
        self._queries = queries
        self._has_boxes = needs_boxes or source.has_labels()
        self.map_grids = tuple(map_grids) if with_labels else ()
        if self.map_grids:
            for scene in dict.fromkeys(map(source.scene_of, self.moments.tolist())):
                if pseudo is None or scene not in pseudo.scenes:
                    source.map_mask(scene)  # a missing one is an error now, not in mid-training
        self.gt_sampling = gt_sampling
        self._objects: GTDatabase | None = None
        if gt_sampling is not None and with_labels:
            self._objects = GTDatabase(
                source,
                self.reader,
                inputs,
                self.moments,
                gt_sampling.minimum_points,
                gt_sampling.objects_per_class,
                self._handler,
                self.bad_files.add if on_bad_file == "skip" else _raise,
            )

    def load(self, moment: int, draw: SampleRequest) -> Sample:
        """The sample of a keyframe."""
        (sample,) = load_samples(self.reader, moment, (self.inputs,), draw.seed, self._handler)
        if self.with_labels:
            sample = replace(sample, labels=self._labels(moment))
        if self._queries is not None:
            sample = replace(sample, queries=self._queries(moment))
        if (
            self._objects is not None
            and self.gt_sampling is not None
            and not self.gt_sampling.has_stopped(draw.progress)
        ):
            sample = self.gt_sampling.pasted(sample, self._objects)
        if self.augmentation is not None:
            sample = self.augmentation.applied(sample)
        return replace(sample, drivable=self._drivable(sample)) if self.map_grids else sample

    def _labels(self, moment: int) -> Labels:
        if self._pseudo is not None and self._is_unlabelled(self._source.scene_of(moment)):
            return self._pseudo.labels(moment)
        return self._source.labels(moment) if self._has_boxes else Labels.none()

    def _is_unlabelled(self, scene: str) -> bool:
        return self._pseudo is not None and scene in self._pseudo.scenes

    def _drivable(self, sample: Sample) -> dict[BEVGrid, UInt8[Tensor, "y x"]]:
        if self._is_unlabelled(sample.scene):
            return {grid: torch.full(grid.shape, UNKNOWN, dtype=torch.uint8) for grid in self.map_grids}
        global_from_bev = sample.global_from_level @ inverse(sample.bev_from_level.double())
        mask = self._source.map_mask(sample.scene)
        return {grid: mask.on_grid(grid, global_from_bev) for grid in self.map_grids}


def _raise(error: BadFileError) -> None:
    raise error
