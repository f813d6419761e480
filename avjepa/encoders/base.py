"""The contracts of a backbone, and of a sensor's encoder: the one thing that differs between modalities."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from avjepa.bundle.rebuildable import Rebuildable
from avjepa.data.sample import Batch
from avjepa.encoders.layer_order import registration_order
from avjepa.encoders.reconstruction_target import ReconstructionTarget
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid


class CellFeatures(ABC):
    """Features of the cells of a token grid that are worked out for those cells alone that somebody wants."""

    @abstractmethod
    def at(self, cells: Int64[Tensor, "cell"]) -> Float[Tensor, "cell channel"]:
        """The features of some cells, each given once by its position in the flattened (batch, y, x) grid."""


@dataclass(frozen=True)
class DenseFeatures(CellFeatures):
    """Features that are there for every cell."""

    map: Float[Tensor, "batch channel y x"]

    def at(self, cells: Int64[Tensor, "cell"]) -> Float[Tensor, "cell channel"]:
        """See ``CellFeatures.at``."""
        return self.map.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, cells)


@dataclass(frozen=True)
class BEVMap:
    """Features on the token grid."""

    features: Float[Tensor, "batch channel y x"]
    observed: Bool[Tensor, "batch y x"]
    """Cells about which the sensor said something: a point fell in (LiDAR, radar), a camera sees the cell's column."""
    intermediate_features: tuple[CellFeatures, ...] = ()
    """Intermediate depths of the encoder brought onto the token grid, shallow to deep, ``features`` not included."""
    covered: Bool[Tensor, "batch y x"] | None = None
    """Cells that the sensor could have told of: where it saw nothing there, that is knowledge too. ``None`` for all."""


class BEVBackbone(Rebuildable, ABC):
    """Turns a batch into a BEV map: a sensor's encoder, a network that fuses several, or maps that were kept.

    All that models, heads and bundles know of it. Constructor arguments are plain values, dataclasses of them, and
    other backbones: YAML and a bundle's manifest hold them.

    Attributes:
        token_grid: the grid of ``BEVMap``; shared by all sensors that are to be fused.
        out_channels: channels of ``BEVMap.features``.
    """

    token_grid: BEVGrid
    out_channels: int

    @abstractmethod
    def forward(self, batch: Batch) -> BEVMap:
        """Encode. With a batch that lacks everything that it reads, raises ``UserError``."""

    def sensors_read(self) -> tuple[str, ...]:
        """The sensors that it reads, of ``data.sample.SENSORS``; none where it does not say."""
        return ()

    def plane(self, batch: Batch) -> dict[str, Shaped[Tensor, "batch *_"]]:
        """What lies on the BEV plane before the dense convolutions, by name: where a deployment begins.

        What comes before (voxels and sparse convolutions, pillars, the lift of images) has shapes that follow from the
        data.

        Raises:
            UserError: the backbone does not say where that is.
        """
        raise UserError(f"{type(self).__name__}: does not say where its dense part begins; implement plane()")

    def above_plane(self, plane: dict[str, Shaped[Tensor, "batch *_"]]) -> Float[Tensor, "batch channel y x"]:
        """``BEVMap.features`` from what lies on the plane: dense operations alone, as ``torch.export`` can follow."""
        raise UserError(f"{type(self).__name__}: does not say where its dense part begins; implement above_plane()")

    def pretrained_parts(self) -> "list[BEVBackbone]":
        """What of it is pre-trained by itself, and may be frozen while the rest learns: by default all of it."""
        return [self]

    def layer_order(self) -> list[nn.Module]:
        """The parts of the network from input to output, for learning rates that follow the depth.

        By default the order in which the constructor registers them, see ``registration_order``; a backbone that
        registers them otherwise says so here.
        """
        return registration_order(self)

    def bundle_facts(self) -> dict[str, Any]:
        """Grid and channels."""
        return {"token_grid": self.token_grid, "out_channels": self.out_channels}


class Tokens(ABC):
    """What an encoder makes of a batch before any weight comes into play, and what of it can be hidden.

    Points with the voxel or the cell that they fall into; images with the cells that their patches see. Worked out once
    for a batch, it answers which cells were observed, and is encoded with a part of it hidden.

    Attributes:
        observed: ``BEVMap.observed`` of these tokens.
    """

    observed: Bool[Tensor, "batch y x"]

    @abstractmethod
    def without(self, share: float | Sequence[float]) -> "Tokens":
        """What is left without a share of the raw input (points, patches), removed at random.

        Draws per sample from ``Batch.seeds``.

        Args:
            share: between 0 and 1; one number, or one for each sample.
        """

    def recalling(self, seconds: float) -> "Tokens":
        """The tokens of a sensor that remembers: what is older than so many seconds stays readable in hidden cells.

        As if those cells had been hidden since then, and seen before (temporal occlusion). By default nothing of the
        raw input is older than its moment.
        """
        return self

    def are_of(self, batch: Batch) -> bool:
        """Whether encoding these is encoding that batch, because it holds the very same data of the sensor.

        By default nobody knows; then the batch is tokenised.
        """
        return False

    def realisable_mask(self, wanted: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y x"]:
        """The cells to hide when ``wanted`` is the mask that was drawn: those that this sensor can lose.

        Points fall into one cell each, so by default the mask itself. A pixel sees many cells: a camera answers with
        the cells that lose their view when it gives up the pixels that see mostly wanted cells. An objective asks once
        per mask, before it hides the answer and computes its loss there; the answer may hold no cell at all.
        """
        return wanted


def per_sample(share: float | Sequence[float], samples: int) -> Sequence[float]:
    """One number for each sample, of one for all or of those numbers themselves."""
    return [share] * samples if isinstance(share, int | float) else share


class SensorEncoder(BEVBackbone):
    """A backbone that reads a sensor, or several, and can be masked: what is pre-trained.

    A subclass reads its own sensor from the batch and nothing else. It says what its tokens are, and encodes its own.

    Attributes:
        sensor: the one that it reads, of ``data.sample.SENSORS``; empty where it does not say, or reads several.
        intermediate_channels: channels of each of ``BEVMap.intermediate_features``.
    """

    sensor: ClassVar[str] = ""
    intermediate_channels: tuple[int, ...]

    def sensors_read(self) -> tuple[str, ...]:
        """See ``BEVBackbone.sensors_read``."""
        return (self.sensor,) if self.sensor else ()

    def forward(self, batch: Batch, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """Encode a batch; with ``masked``, as if the sensor had not seen those cells of the token grid."""
        return self.encode(self.tokenise(batch), masked)

    @abstractmethod
    def tokenise(self, batch: Batch) -> Tokens:
        """The tokens of a batch, which depend on no weight. A batch without the sensor raises ``UserError``."""

    @abstractmethod
    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """Encode tokens of this encoder, or of one with the same arguments; with ``masked``, without those cells.

        What is hidden is removed from the raw input, so no part of it can reach the output; in the result hidden
        cells are not ``observed``, except where tokens recall what was seen there before (``Tokens.recalling``).
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
