"""An encoder in two parts: what puts a sensor's data on the BEV plane, and dense convolutions there."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVMap, CellFeatures, DenseFeatures, SensorEncoder, Tokens
from avjepa.encoders.blocks import BEVUNet


@dataclass(frozen=True)
class OnPlane:
    """What a sensor's own network puts on the BEV plane."""

    features: Float[Tensor, "batch channel y x"]
    observed: Bool[Tensor, "batch y x"]
    """See ``BEVMap.observed``."""
    intermediate_features: tuple[CellFeatures, ...] = ()
    """Depths up to here, see ``BEVMap.intermediate_features``."""


class PlaneEncoder(SensorEncoder):
    """A sensor's encoder of which a subclass says what lies on the plane; the last of its intermediate depths is dense.

    Attributes:
        bev: the dense convolutions.
        covers_observed: whether the sensor could have told of what it observed alone (a camera), and not of every cell.
    """

    bev: BEVUNet
    covers_observed: ClassVar[bool] = False

    @abstractmethod
    def on_plane(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> OnPlane:
        """What tokens of this encoder put on the plane; with ``masked``, without those cells."""

    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """See ``SensorEncoder.encode``."""
        plane = self.on_plane(tokens, masked)
        first, features = self.bev(plane.features)
        covered = plane.observed if self.covers_observed else None
        return BEVMap(features, plane.observed, (*plane.intermediate_features, DenseFeatures(first)), covered)

    def plane(self, batch: Batch) -> dict[str, Shaped[Tensor, "batch *_"]]:
        """See ``BEVBackbone.plane``."""
        return {self.sensor: self.on_plane(self.tokenise(batch)).features}

    def above_plane(self, plane: dict[str, Shaped[Tensor, "batch *_"]]) -> Float[Tensor, "batch channel y x"]:
        """See ``BEVBackbone.above_plane``."""
        features: Tensor = self.bev(plane[self.sensor])[1]
        return features
