"""A batch that lacks what an encoder, or a reconstruction target, reads."""

from avjepa.data.sample import Batch
from avjepa.errors import UserError

LOADED, TARGET_LOADED = "data.sensors", "data.target_sensors"
"""Options that say what a batch holds: of a training's context or of a detector, and of a training's target."""


class MissingSensorError(UserError):
    """No sample of a batch has data of a sensor.

    Args:
        reader: the class that reads it.
        sensor: ``lidar``, ``camera`` or ``radar``.
        batch: what it was given.
        option: that says which sensors such a batch holds.
    """

    def __init__(self, reader: str, sensor: str, batch: Batch, option: str = LOADED) -> None:
        self.reader, self.sensor, self.batch, self.option = reader, sensor, batch, option
        super().__init__(
            f"{reader}: no {sensor} data in the batch of {', '.join(batch.tokens[:3])}; add {sensor} to {option}, or "
            "configure what reads other sensors in its place"
        )

    def of_target(self) -> "MissingSensorError":
        """The same of a target view."""
        return MissingSensorError(self.reader, self.sensor, self.batch, TARGET_LOADED)
