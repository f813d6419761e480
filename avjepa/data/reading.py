"""Where samples come from: a data set's own files, or a cache that was packed of them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from avjepa.data.channels import SensorChannels
from avjepa.data.moment import Moment
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import OnBadFile, SensorInputs, stop_at_bad_file


@runtime_checkable
class MomentReader(Protocol):
    """Reads moments by their number."""

    @property
    def channels(self) -> SensorChannels:
        """Which channels are read, and as what."""

    def read(self, moment: int, inputs: Sequence[SensorInputs]) -> Moment:
        """What the sensors gave at a moment, without the files that cannot be read.

        Args:
            moment: its number.
            inputs: what samples will be made of it; what several of them need is read once.
        """


def load_samples(
    reader: MomentReader,
    moment: int,
    inputs: Sequence[SensorInputs],
    seed: int = 0,
    on_bad_file: OnBadFile = stop_at_bad_file,
) -> tuple[Sample, ...]:
    """Samples of one moment in its BEV frame, without labels, one for each of the inputs.

    Args:
        reader: where it comes from.
        moment: its number.
        inputs: what to load for each sample.
        seed: becomes ``Sample.seed``.
        on_bad_file: called with every bad file.

    Raises:
        BadFileError: if ``on_bad_file`` raises it.
    """
    read = reader.read(moment, inputs)
    for bad in read.bad:
        on_bad_file(bad.error, bad.offset == 0)
    return tuple(read.sample(own, reader.channels, seed) for own in inputs)
