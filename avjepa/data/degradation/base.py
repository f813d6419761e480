"""The contract of a degradation, and moments as a degraded vehicle would have recorded them."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avjepa.data.channels import SensorChannels
from avjepa.data.moment import Moment
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import MomentReader
from avjepa.data.sensor_inputs import SensorInputs


class Degradation(ABC):
    """Something that goes wrong with the sensors."""

    @abstractmethod
    def read(
        self, moment: int, inputs: Sequence[SensorInputs], reader: MomentReader, source: DrivingDataset, seed: int
    ) -> Moment:
        """A moment as the degraded sensors would have given it.

        Args:
            moment: its number.
            inputs: what samples will be made of it.
            reader: reads moments as they were.
            source: the data set that they are of.
            seed: of everything random.
        """


class ChangedMoment(Degradation):
    """A degradation that needs to know no other moment."""

    def read(
        self, moment: int, inputs: Sequence[SensorInputs], reader: MomentReader, source: DrivingDataset, seed: int
    ) -> Moment:
        """See ``Degradation.read``."""
        return self.changed(reader.read(moment, inputs), reader.channels, seed)

    @abstractmethod
    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """The moment with the degradation."""


@dataclass(frozen=True)
class DegradedReader:
    """Reads moments of a data set, degraded; a ``MomentReader``.

    Args:
        reader: reads them as they were.
        source: the data set.
        degradation: what goes wrong.
        seed: of everything random in it.
    """

    reader: MomentReader
    source: DrivingDataset
    degradation: Degradation
    seed: int = 0

    @property
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""
        return self.reader.channels

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        """See ``MomentReader.read``."""
        return self.degradation.read(moment, inputs, self.reader, self.source, self.seed)


def random_of(seed: int, *names: str) -> np.random.Generator:
    """A generator that is a function of a seed and of names, a channel's say, and of nothing else."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.default_rng((seed, int.from_bytes(digest[:8], "little")))
