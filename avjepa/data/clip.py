"""Several moments of one scene, in order of time: for everything that follows objects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.loading.collate import collate
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Batch, Sample
from avjepa.data.sensor_inputs import SensorInputs
from avjepa.errors import UserError
from avjepa.geometry.transforms import inverse


@dataclass(frozen=True)
class Clip:
    """T moments of one scene, ascending in time.

    Where the moments have labels, ``Labels.track_ids`` says which box is of which object, with the same number in every
    moment, and ``Labels.visibility`` how much of it was seen.
    """

    samples: tuple[Sample, ...]
    bev_from_bev: Float[Tensor, "time time 4 4"]
    """Ego motion: entry (i, j) takes points at rest from the BEV frame of moment j into that of moment i."""

    def __len__(self) -> int:
        return len(self.samples)

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Clip":
        """The clip of some samples of one scene, in order of time."""
        # the chain is computed in double precision: global coordinates are thousands of metres
        bev_from_global = torch.stack(
            [sample.bev_from_level.double() @ inverse(sample.global_from_level) for sample in samples]
        )
        motion = bev_from_global[:, None] @ inverse(bev_from_global)[None]
        return cls(tuple(samples), motion.float())


@dataclass(frozen=True)
class ClipBatch:
    """Clips of one length stacked for a network: one batch for every moment."""

    moments: tuple[Batch, ...]
    """The first, second, ... moment of every clip."""
    bev_from_bev: Float[Tensor, "batch time time 4 4"]
    """See ``Clip``."""

    def __len__(self) -> int:
        return len(self.moments[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ClipBatch":
        """A copy whose tensors live on ``device``."""
        moments = tuple(batch.to(device, non_blocking) for batch in self.moments)
        return ClipBatch(moments, self.bev_from_bev.to(device, non_blocking=non_blocking))


def collate_clips(clips: Sequence[Clip]) -> ClipBatch:
    """Stack clips of one length."""
    moments = zip(*(clip.samples for clip in clips), strict=True)
    return ClipBatch(
        tuple(collate(list(samples)) for samples in moments), torch.stack([clip.bev_from_bev for clip in clips])
    )


class ClipDataset:
    """Every clip of T moments, ``stride`` moments apart, that lies within one scene.

    Args:
        source: the data set.
        inputs: what to load of each moment.
        length: T.
        stride: how many moments a clip goes on from one of its moments to the next.
        keyframes_only: whether the moments between keyframes do not count.
        scenes: names of the scenes; all for ``None``.
        with_labels: whether the samples have labels; keyframes only.

    Raises:
        UserError: an option is out of range, or no scene is long enough.
    """

    def __init__(
        self,
        source: DrivingDataset,
        inputs: SensorInputs,
        length: int,
        stride: int = 1,
        keyframes_only: bool = True,
        scenes: list[str] | None = None,
        with_labels: bool = True,
    ) -> None:
        if length < 1 or stride < 1:
            raise UserError(f"clips: length and stride must be at least 1, got {length} and {stride}")
        if with_labels and not keyframes_only:
            raise UserError("clips: moments between keyframes have no labels; leave labels out, or take keyframes only")
        self.source, self.inputs, self.with_labels = source, inputs, with_labels
        moments = source.moments(scenes, keyframes_only)
        self.clips = _windows(moments, [source.scene_of(int(moment)) for moment in moments], length, stride)
        if not len(self.clips):
            raise UserError(
                f"{source.name}: no chosen scene has {1 + (length - 1) * stride} moments in a row, which clips of "
                f"length {length} and stride {stride} need; make them shorter"
            )

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Clip:
        """A clip. Raises ``BadFileError`` for a sensor file that cannot be read."""
        return Clip.of([self._sample(int(moment)) for moment in self.clips[number]])

    def _sample(self, moment: int) -> Sample:
        (sample,) = load_samples(self.source, moment, (self.inputs,))
        return replace(sample, labels=self.source.labels(moment)) if self.with_labels else sample


def _windows(
    moments: Int64[Array, "moment"], scenes: Sequence[str], length: int, stride: int
) -> Int64[Array, "clip {length}"]:
    """Moments of every window that begins and ends in one scene."""
    reach = (length - 1) * stride
    starts = [first for first in range(len(moments) - reach) if scenes[first] == scenes[first + reach]]
    return moments[np.array(starts, np.int64).reshape(-1, 1) + stride * np.arange(length)]
