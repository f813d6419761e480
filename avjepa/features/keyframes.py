"""The keyframes whose maps are kept, and what tells one map from another."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.loading.batch_loader import BatchLoader
from avjepa.data.loading.collate import collate
from avjepa.data.loading.dataset import LabelledDataset
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.sample import Batch
from avjepa.data.sampling.sampler import SampleRequest

MOST_DRAWS = 16
"""Augmentations that are kept of a keyframe, at most: 16 maps of 64 channels on 64 × 64 cells are 8 MiB."""
MapName: TypeAlias = tuple[str, bytes]


def map_name(token: str, bev_from_level: Float[Tensor, "4 4"]) -> MapName:
    """What tells one map of a backbone from another: the moment, and the frame it is seen in."""
    return token, (bev_from_level + 0.0).cpu().numpy().tobytes()  # -0.0 becomes 0.0


def keyframe_loader(
    data: DetectionDataModule,
    scenes: Sequence[str],
    augmentation: BEVAugmentation | None = None,
    without: Callable[[MapName], bool] = lambda name: False,
) -> BatchLoader[Batch]:
    """Every keyframe of some scenes, without labels: once as the sensors saw it, or with each of a few augmentations.

    Args:
        data: gives the sensors, the batch size and the loading processes; set up.
        scenes: names.
        augmentation: with a number of ``draws``, of which each keyframe is given all; ``None`` for no augmentation.
        without: what to leave out.
    """
    assert data.source is not None, "setup() comes first"
    dataset = LabelledDataset(
        data.source, data.inputs, list(scenes), augmentation, on_bad_file=data.on_bad_file, with_labels=False,
        keep_every_keyframe=True, bad_files=data.bad_files, reader=data.reader,
    )  # fmt: skip
    draws = []
    for item, moment in enumerate(dataset.moments):
        token = data.source.token_of(int(moment))
        if augmentation is None:
            wanted = [] if without(map_name(token, torch.eye(4))) else [SampleRequest(item, item)]
        else:
            assert augmentation.draws is not None, "not all of endless draws can be given"
            transforms = enumerate(augmentation.draw_of(token, number) for number in range(augmentation.draws))
            wanted = [SampleRequest(item, number) for number, bev in transforms if not without(map_name(token, bev))]
        draws += wanted
    batches = [draws[first : first + data.batch_size] for first in range(0, len(draws), data.batch_size)]
    return BatchLoader(dataset, batches.__getitem__, len(batches), collate, data.workers)


def with_few_draws(data: DetectionDataModule, samples: int) -> BEVAugmentation | None:
    """The augmentation of a datamodule; without ``draws`` restricted so that a training sees most maps more than once.

    A convolutional encoder does not commute with flips and rotations, so features of an augmented input cannot be had
    from features of the input; of every keyframe with labels a few augmentations are kept instead.

    Args:
        data: set up.
        samples: how many the training takes, repetitions included.
    """
    assert data.source is not None, "setup() comes first"
    if data.augmentation is None or data.augmentation.draws is not None:
        return data.augmentation
    keyframes = len(data.source.moments(data.train_scenes(), keyframes_only=True))
    return replace(data.augmentation, draws=max(1, min(MOST_DRAWS, round(samples / max(1, keyframes)))))
