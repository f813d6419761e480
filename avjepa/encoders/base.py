"""The contracts of a backbone, and of a sensor's encoder: the one thing that differs between modalities."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.bundle.rebuildable import Rebuildable
from avjepa.data.sample import Batch
from avjepa.encoders.layer_order import registration_order
from avjepa.encoders.reconstruction_target import ReconstructionTarget
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid


@dataclass(frozen=True)
class BEVMap:
    """Features on the token grid."""

    features: Float[Tensor, "batch channel y x"]
    observed: Bool[Tensor, "batch y x"]
    """Cells about which the sensor said something: a point fell in (LiDAR, radar), a camera sees the cell's column."""
    intermediate_features: tuple[Float[Tensor, "batch _ y x"], ...] = ()
    """Intermediate depths of the encoder brought onto the token grid, shallow to deep, ``features`` not included."""


class BEVBackbone(Rebuildable, ABC):
    """Turns a batch into a BEV map: a sensor's encoder, a network that fuses several, or maps that were kept.

    All that models, heads and bundles know of it. Constructor arguments are plain values, dataclasses of them, and
    other backbones: YAML and a bundle's manifest hold them.

    Attributes:
        token_grid: the grid of ``BEVMap``; shared by all sensors that are to be fused.
        out_channels: channels of ``BEVMap.features``.
    """

    bundle_name = "backbone"
    token_grid: BEVGrid
    out_channels: int

    @abstractmethod
    def forward(self, batch: Batch) -> BEVMap:
        """Encode. With a batch that lacks everything that it reads, raises ``UserError``."""

    def layer_order(self) -> list[nn.Module]:
        """The parts of the network from input to output, for learning rates that follow the depth.

        By default the order in which the constructor registers them, see ``registration_order``; a backbone that
        registers them otherwise says so here.
        """
        return registration_order(self)

    def bundle_facts(self) -> dict[str, Any]:
        """Grid and channels."""
        return {"token_grid": self.token_grid, "out_channels": self.out_channels}


class SensorEncoder(BEVBackbone):
    """A backbone that reads one sensor and can be masked: what is pre-trained.

    A subclass reads its own sensor from the batch and nothing else.

    Attributes:
        intermediate_channels: channels of each of ``BEVMap.intermediate_features``.
    """

    intermediate_channels: tuple[int, ...]

    @abstractmethod
    def forward(self, batch: Batch, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """Encode; with ``masked``, as if the sensor had not seen those cells of the token grid.

        What is hidden is removed from the raw input, so no part of it can reach the output; in the result hidden
        cells are not ``observed``.
        """

    @abstractmethod
    def observed(self, batch: Batch) -> Bool[Tensor, "batch y x"]:
        """``BEVMap.observed`` of the full input, without running the network."""

    @abstractmethod
    def drop_input(self, batch: Batch, share: float) -> Batch:
        """The batch with a share of this sensor's raw input (points, patches) removed at random.

        Draws per sample from ``batch.seeds``.
        """

    def reconstruction_target(self) -> ReconstructionTarget:
        """What this sensor's raw data hold in a cell, for objectives that reconstruct it.

        Raises:
            UserError: the encoder says nothing of it.
        """
        raise UserError(
            f"{type(self).__name__}: does not say what there is to reconstruct in a cell; implement "
            "reconstruction_target() or name a reconstruction_target in the objective"
        )

    def realisable_mask(self, batch: Batch, wanted: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y x"]:
        """The cells to hide when ``wanted`` is the mask that was drawn: those that this sensor can lose.

        Points fall into one cell each, so by default the mask itself. A pixel sees many cells: a camera answers with
        the cells that lose their view when it gives up the pixels that see mostly wanted cells. An objective asks once
        per mask, before it hides the answer and computes its loss there; the answer may hold no cell at all.
        """
        return wanted
