"""A frozen backbone's maps, computed once and read by all detectors that are trained on them."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avjepa.data.augmentation.augment import BEVAugmentation, FiniteAugmentations
from avjepa.data.loading.batch_loader import BatchLoader
from avjepa.data.loading.collate import collate
from avjepa.data.loading.datamodule import DetectionDataModule
from avjepa.data.loading.dataset import LabelledDataset
from avjepa.data.sample import Batch
from avjepa.data.sampling.sampler import SampleRequest
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.encoders.base import BEVMap, SensorEncoder
from avjepa.errors import UserError

MOST_DRAWS = 16
"""Augmentations that are kept of a keyframe, at most: 16 maps of 64 channels on 64 × 64 cells are 8 MiB."""
Key: TypeAlias = tuple[str, bytes]


def key_of(token: str, bev_from_level: Float[Tensor, "4 4"]) -> Key:
    """What tells one map of a backbone from another: the moment, and the frame it is seen in."""
    return token, (bev_from_level + 0.0).cpu().numpy().tobytes()  # -0.0 becomes 0.0


def keyframe_loader(
    data: DetectionDataModule,
    scenes: Sequence[str],
    augmentation: FiniteAugmentations | None = None,
    without: Callable[[Key], bool] = lambda key: False,
) -> BatchLoader[Batch]:
    """Every keyframe of some scenes, without labels: once as the sensors saw it, or with each of a few augmentations.

    Args:
        data: gives the sensors, the batch size and the loading processes; set up.
        scenes: names.
        augmentation: of each keyframe all draws are given; ``None`` for no augmentation.
        without: what to leave out.
    """
    assert data.source is not None, "setup() comes first"
    dataset = LabelledDataset(
        data.source, data.view, list(scenes), augmentation, on_bad_file=data.on_bad_file, with_labels=False,
        keep_every_keyframe=True, bad_files=data.bad_files,
    )  # fmt: skip
    draws = []
    for item, moment in enumerate(dataset.moments):
        token = data.source.token_of(int(moment))
        if augmentation is None:
            wanted = [] if without(key_of(token, torch.eye(4))) else [SampleRequest(item, item)]
        else:
            transforms = enumerate(augmentation.draw_of(token, number) for number in range(augmentation.draws))
            wanted = [SampleRequest(item, number) for number, bev in transforms if not without(key_of(token, bev))]
        draws += wanted
    batches = [draws[first : first + data.batch_size] for first in range(0, len(draws), data.batch_size)]
    return BatchLoader(dataset, batches.__getitem__, len(batches), collate, data.workers)


class FeatureCache:
    """Maps of one frozen encoder by sample and augmentation, half precision, in a file that vanishes with the process.

    A convolutional encoder does not commute with flips and rotations, so features of an augmented input cannot be had
    from features of the input; of every keyframe with labels a few augmentations are kept instead.

    Args:
        encoder: on the device that it shall run on; put into evaluation mode.
        folder: where the file lies, 2 bytes a number; needs room for every keyframe that is asked for.
        autocast: the context that the encoder runs in.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        folder: Path,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.autocast = autocast
        # channels last, as convolutions on a map in half precision run twice as fast
        self.shape = (*encoder.token_grid.shape, encoder.out_channels)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the cache)
        self._rows: dict[Key, int] = {}
        self._maps = np.empty((0, *self.shape), np.float16)

    def __len__(self) -> int:
        return len(self._rows)

    @torch.no_grad()
    def add(
        self, data: DetectionDataModule, scenes: Sequence[str], augmentation: FiniteAugmentations | None = None
    ) -> None:
        """Compute the maps of every keyframe of some scenes, and of each of its augmentations, that are not there yet.

        Raises:
            UserError: a feature is too large for half precision.
        """
        loader = keyframe_loader(data, scenes, augmentation, self._rows.__contains__)
        device = next(self.encoder.parameters()).device
        size = int(np.prod(self.shape)) * 2
        for batch in loader:
            with self.autocast():
                features = self.encoder(batch.to(device)).features.permute(0, 2, 3, 1).to("cpu", torch.float16)
            if not torch.isfinite(features).all():
                raise UserError("frozen features exceed the range of half precision; normalise the backbone's output")
            for token, transform, bev in zip(batch.tokens, batch.bev_from_level, features, strict=True):
                self._file.seek(len(self._rows) * size)
                self._file.write(bev.contiguous().numpy().tobytes())
                self._rows[key_of(token, transform)] = len(self._rows)
        self._file.flush()
        if self._rows:
            self._maps = np.memmap(self._file, np.float16, "r", shape=(len(self._rows), *self.shape))

    def maps(self, batch: Batch) -> Float[Tensor, "batch channel y x"]:
        """The maps of a batch's samples, augmented as they are, in single precision, on the CPU."""
        rows = [self._rows[key_of(*sample)] for sample in zip(batch.tokens, batch.bev_from_level, strict=True)]
        stacked = np.stack([self._maps[row] for row in rows]).astype(np.float32)
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)


class CachedBackbone(SensorEncoder):
    """Stands in for a frozen backbone: looks maps up instead of computing them. Has no parameters.

    Args:
        cache: holds every sample that will be asked for.
    """

    def __init__(self, cache: FeatureCache) -> None:
        super().__init__()
        self.cache = cache
        self.token_grid = cache.encoder.token_grid
        self.out_channels, self.intermediate_channels = cache.encoder.out_channels, ()

    def forward(self, batch: Batch, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """The maps of the batch's samples. What was occupied is not kept."""
        if masked is not None:
            raise ValueError("nothing can be hidden from features that are computed")
        features = self.cache.maps(batch).to(batch.seeds.device)
        return BEVMap(features, self.observed(batch))

    def observed(self, batch: Batch) -> Bool[Tensor, "batch y x"]:
        """Nowhere."""
        return torch.zeros(len(batch), *self.token_grid.shape, dtype=torch.bool, device=batch.seeds.device)

    def drop_input(self, batch: Batch, share: float) -> Batch:
        """There is no raw input to thin."""
        raise ValueError("features that are computed have no raw input")


def finite_augmentations(data: DetectionDataModule, draws: int) -> FiniteAugmentations | None:
    """The augmentation of a datamodule, restricted so that a training of so many draws sees most maps more than once.

    Args:
        data: set up.
        draws: samples that the training takes, repetitions included.
    """
    assert data.source is not None, "setup() comes first"
    if data.augmentation is None:
        return None
    keyframes = len(data.source.moments(data.train_scenes(), keyframes_only=True))
    return FiniteAugmentations.of(data.augmentation, max(1, min(MOST_DRAWS, round(draws / max(1, keyframes)))))


def read_labels_alone(data: DetectionDataModule, augmentation: BEVAugmentation | None = None) -> None:
    """Have a datamodule open no sensor file: the backbone's maps are there, and nothing is pasted."""
    data.view, data.augmentation, data.gt_sampling, data.workers = SensorInputs(), augmentation, None, 0
