"""The contract of a sensor encoder: the one thing that differs between modalities."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.data.sample import Batch
from avjepa.geometry.grid import BEVGrid


@dataclass(frozen=True)
class BEVMap:
    """Features on the token grid."""

    features: Float[Tensor, "batch channel y x"]
    occupied: Bool[Tensor, "batch y x"]
    """Cells about which the sensor said something: a point fell in (LiDAR, radar), a camera sees the cell's column."""
    levels: tuple[Float[Tensor, "batch _ y x"], ...] = ()
    """Intermediate depths of the encoder brought onto the token grid, shallow to deep, ``features`` not included."""


class SensorEncoder(nn.Module, ABC):
    """Turns one sensor's raw data into a BEV map.

    A subclass reads its own sensor from the batch and nothing else; with a batch that lacks the sensor it raises
    ``UserError``. Constructor arguments are plain values and dataclasses: YAML and a bundle's manifest hold them.

    Attributes:
        token_grid: the grid of ``BEVMap``; shared by all sensors that are to be fused.
        out_channels: channels of ``BEVMap.features``.
        level_channels: channels of each of ``BEVMap.levels``.
    """

    token_grid: BEVGrid
    out_channels: int
    level_channels: tuple[int, ...]

    @abstractmethod
    def forward(self, batch: Batch, hidden: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """Encode; with ``hidden``, as if the sensor had not seen those cells of the token grid.

        What is hidden is removed from the raw input, so no part of it can reach the output; in the result hidden
        cells are not ``occupied``.
        """

    @abstractmethod
    def occupied(self, batch: Batch) -> Bool[Tensor, "batch y x"]:
        """``BEVMap.occupied`` of the full input, without running the network."""

    @abstractmethod
    def thinned(self, batch: Batch, drop: float) -> Batch:
        """The batch with a share ``drop`` of this sensor's raw input (points, patches) removed at random.

        Draws per sample from ``batch.seeds``.
        """
