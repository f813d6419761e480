"""Moments of a dataset as pairs of views for pre-training."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.augmentation.augment import BEVAugmentation, moved
from avjepa.data.files.bad_files import BadFileLog
from avjepa.data.loading.dataset import MomentDataset, OnBadFileOption
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import MomentReader, load_samples
from avjepa.data.sample import Sample
from avjepa.data.sampling.sampler import SampleRequest
from avjepa.data.sensor_inputs import OnBadFile, SensorInputs, channels_of, stop_at_bad_file
from avjepa.errors import UserError
from avjepa.geometry.transforms import inverse

_CONTEXT_STREAM, _TARGET_STREAM = 0, 1
AHEAD_TOLERANCE = 0.1
"""Seconds that a target may miss its time by, at most."""


class PretrainDataset(MomentDataset[tuple[Sample, Sample]]):
    """Two views of every moment, context and target, without labels. Never opens an annotation table.

    Args:
        source: the data set.
        context: what the context encoder's side loads.
        target: what the target's side loads; equal to ``context`` by default.
        scenes: names of the scenes; all for ``None``.
        keyframes_only: leave out the moments between keyframes.
        augmentation: of both views.
        independent_views: whether the target has its own draw of the augmentation.
        on_bad_file: stop with the error, or take another moment.
        bad_files: where skipped files are noted.
        reader: where the moments are read from; ``None`` for the data set itself.
        target_ahead: seconds by which the target is later than the context, in whose BEV frame it is seen: what is at
            rest lies in the same cell in both. 0 for the same moment.

    Only moments that every sensor of both views has recorded count. Raises ``UserError`` if there are none.
    """

    def __init__(
        self,
        source: DrivingDataset,
        context: SensorInputs,
        target: SensorInputs | None = None,
        scenes: list[str] | None = None,
        keyframes_only: bool = False,
        augmentation: BEVAugmentation | None = None,
        independent_views: bool = False,
        on_bad_file: OnBadFileOption = "stop",
        bad_files: BadFileLog | None = None,
        reader: MomentReader | None = None,
        target_ahead: float = 0.0,
    ) -> None:
        self.context = context
        self.target = context if target is None else target
        self.augmentation = augmentation
        self.independent_views = independent_views
        self.reader = reader or source
        self._handler: OnBadFile = self._leave_out_further_sweeps if on_bad_file == "skip" else stop_at_bad_file
        moments = source.moments(scenes, keyframes_only)
        later = moments
        if target_ahead:
            times = np.array([source.time_of(moment) for moment in range(len(source))], np.int64)
            scenes_of_all = [source.scene_of(moment) for moment in range(len(source))]
            later = moments_ahead(times, scenes_of_all, moments, target_ahead)
        if not (later >= 0).any():
            raise UserError(
                f"{source.name}: no moment of the chosen scenes has one that is {target_ahead:g} s later; make "
                "data.target_ahead shorter"
            )
        moments, later = moments[later >= 0], later[later >= 0]
        for inputs, chosen in ((self.context, 0), (self.target, 1)):
            for sensor in inputs.sensors():
                kept = source.recorded(sensor)[(moments, later)[chosen]]
                moments, later = moments[kept], later[kept]
                if not len(moments):
                    channels = " or ".join(channels_of(sensor, source.channels)) or sensor
                    raise UserError(
                        f"{source.name}: no moment of the chosen scenes has data of {channels}; choose other sensors, "
                        f"or name some of {', '.join(source.recorded_channels)} under data.channels"
                    )
        super().__init__(moments, on_bad_file, bad_files or BadFileLog())
        self._source = source
        self._later = dict(zip(moments.tolist(), later.tolist(), strict=True)) if target_ahead else None

    def read_moments(self) -> Int64[Array, "moment"]:
        """All moments that are read, those of targets too, ascending: what a cache has to hold."""
        later = [] if self._later is None else list(self._later.values())
        moments: Int64[Array, moment] = np.unique(np.concatenate((self.moments, np.array(later, np.int64))))
        return moments

    def contexts(self) -> "ContextDataset":
        """The contexts of the same moments, without their targets."""
        return ContextDataset(self)

    def context_of(self, moment: int, draw: SampleRequest) -> Sample:
        """The context of a moment."""
        (context,) = load_samples(self.reader, moment, (self.context,), draw.seed, self._handler)
        return context if self.augmentation is None else self.augmentation.applied(context, _CONTEXT_STREAM)

    def load(self, moment: int, draw: SampleRequest) -> tuple[Sample, Sample]:
        """Context and target of a moment; one object if both views are equal."""
        if self._later is not None:
            (context,) = load_samples(self.reader, moment, (self.context,), draw.seed, self._handler)
            target = self._seen_from(context, self._later[moment], draw.seed)
        else:
            inputs = (self.context,) if self.target == self.context else (self.context, self.target)
            samples = load_samples(self.reader, moment, inputs, draw.seed, self._handler)
            context, target = samples[0], samples[-1]
        if self.augmentation is None:
            return context, target
        moved_context = self.augmentation.applied(context, _CONTEXT_STREAM)
        if target is context and not self.independent_views:
            return moved_context, moved_context
        stream = _TARGET_STREAM if self.independent_views else _CONTEXT_STREAM
        return moved_context, self.augmentation.applied(target, stream)

    def _seen_from(self, context: Sample, moment: int, seed: int) -> Sample:
        """The target's sample of a later moment in the frame of an earlier one."""
        (later,) = load_samples(self.reader, moment, (self.target,), seed, self._handler)
        here_from_later = inverse(context.global_from_level) @ later.global_from_level
        return replace(
            moved(later, here_from_later.float()),
            global_from_level=context.global_from_level,
            bev_from_level=context.bev_from_level,
        )


def moments_ahead(
    times: Int64[Array, "all"], scenes: Sequence[str], moments: Int64[Array, "moment"], seconds: float
) -> Int64[Array, "moment"]:
    """For each of some moments the one of its scene that comes nearest to being so much later; -1 where none does.

    It may miss the time by ``AHEAD_TOLERANCE``, and by half of what is asked for.

    Args:
        times: of all moments (microseconds), ascending within a scene.
        scenes: of all moments.
        moments: numbers of those that ask.
        seconds: how much later.
    """
    tolerance = min(AHEAD_TOLERANCE, seconds / 2) * 1e6
    scene = np.unique(np.array(scenes), return_inverse=True)[1]
    result = np.full(len(moments), -1, np.int64)
    for one in np.unique(scene[moments]):
        own, asking = np.flatnonzero(scene == one), np.flatnonzero(scene[moments] == one)
        wanted = times[moments[asking]] + round(seconds * 1e6)
        after = np.searchsorted(times[own], wanted).clip(max=len(own) - 1)
        before = (after - 1).clip(min=0)
        misses = np.stack([abs(times[own[place]] - wanted) for place in (before, after)])
        found = np.where(misses[0] < misses[1], own[before], own[after])
        close = misses.min(0) <= tolerance
        result[asking[close]] = found[close]
    return result


class ContextDataset(MomentDataset[Sample]):
    """What the context encoder's side of a pre-training loads.

    Args:
        pairs: the dataset of contexts and targets.
    """

    def __init__(self, pairs: PretrainDataset) -> None:
        super().__init__(pairs.moments, pairs.on_bad_file, pairs.bad_files)
        self._pairs = pairs

    def load(self, moment: int, draw: SampleRequest) -> Sample:
        """The context of a moment."""
        return self._pairs.context_of(moment, draw)
