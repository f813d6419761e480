"""From the aligned maps of the sensors that are there to one map.

Neither way joins channels: a sum over sensors has the same shape and the same meaning whichever of them are missing.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.bundle.rebuildable import OptionsOfKinds


class Fuser(nn.Module, ABC):
    """Fuses maps of equal shape."""

    @abstractmethod
    def forward(
        self, maps: Float[Tensor, "sensor batch channel y x"], told: Bool[Tensor, "sensor batch y x"]
    ) -> Float[Tensor, "batch channel y x"]:
        """One map; 0 in cells of which no sensor told.

        Args:
            maps: of the sensors.
            told: the cells of which each of them told anything; what ``maps`` hold elsewhere does not enter.
        """


class FuserOptions(OptionsOfKinds, ABC):
    """Everything about a fuser but the maps that it reads. Constructor arguments are YAML keys."""

    @abstractmethod
    def build(self, channels: int) -> Fuser:
        """The fuser of maps of so many channels, with new weights."""


@dataclass(frozen=True)
class MaskedMeanOptions(FuserOptions):
    """The mean over the sensors that told of a cell (UniBEV, 2309.14516). It has no weights."""

    def build(self, channels: int) -> "MaskedMean":
        """See ``FuserOptions.build``."""
        return MaskedMean()


class MaskedMean(Fuser):
    """See ``MaskedMeanOptions``."""

    def forward(
        self, maps: Float[Tensor, "sensor batch channel y x"], told: Bool[Tensor, "sensor batch y x"]
    ) -> Float[Tensor, "batch channel y x"]:
        """See ``Fuser.forward``."""
        count = told.sum(0).clamp(min=1)
        return _weighted_sum(maps, told.to(maps.dtype) / count.to(maps.dtype))


@dataclass(frozen=True)
class GatedSumOptions(FuserOptions):
    """A sum whose weights, in every cell, are a softmax over the sensors that told of it.

    A sensor's score in a cell is a linear function of its own map there, the same for all sensors: so none is known by
    its name, and at the start all weigh alike.
    """

    def build(self, channels: int) -> "GatedSum":
        """See ``FuserOptions.build``."""
        return GatedSum(channels)


class GatedSum(Fuser):
    """See ``GatedSumOptions``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Linear(channels, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(
        self, maps: Float[Tensor, "sensor batch channel y x"], told: Bool[Tensor, "sensor batch y x"]
    ) -> Float[Tensor, "batch channel y x"]:
        """See ``Fuser.forward``."""
        score = self.score(maps.permute(0, 1, 3, 4, 2))[..., 0].float()
        none = ~told.any(0)
        share = score.masked_fill(~(told | none), -torch.inf).softmax(0) * told
        return _weighted_sum(maps, share.to(maps.dtype))


def _weighted_sum(
    maps: Float[Tensor, "sensor batch channel y x"], weights: Float[Tensor, "sensor batch y x"]
) -> Float[Tensor, "batch channel y x"]:
    total = maps[0] * weights[0, :, None]
    for map_, weight in zip(maps[1:], weights[1:], strict=True):
        total = total + map_ * weight[:, None]
    return total
