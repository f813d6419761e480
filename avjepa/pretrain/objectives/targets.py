"""Who encodes the target, and what of the encoding is the target."""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVMap, CellFeatures, DenseFeatures, SensorEncoder, Tokens
from avjepa.errors import UserError
from avjepa.pretrain.objectives.cells import LossCells
from avjepa.pretrain.objectives.ema import Momentum, update_teacher
from avjepa.pretrain.token_norms import RunningStandardiser


class TargetEncoder(nn.Module, ABC):
    """Encodes the target view, in full: nothing is hidden from it.

    Attributes:
        channels_of: the encoder whose channels the target has.
    """

    channels_of: SensorEncoder

    @abstractmethod
    def forward(self, encoder: SensorEncoder, batch: Batch, tokens: Tokens | None = None) -> BEVMap:
        """The target's map.

        Args:
            encoder: the context encoder as it is now.
            batch: the target view.
            tokens: those that the context encoder makes of it, if they are known.
        """

    def after_step(self, encoder: SensorEncoder, step: int) -> None:
        """``Objective.after_step``."""


class TargetOptions(ABC):
    """Everything about a target encoder but the context encoder. Constructor arguments are YAML keys."""

    @abstractmethod
    def build(self, encoder: SensorEncoder) -> TargetEncoder:
        """The target encoder beside a context encoder."""


Teacher = TypeVar("Teacher", bound="_Teacher")


class _Teacher(TargetEncoder):
    """An encoder of its own that no gradient reaches and that stays in evaluation mode.

    In evaluation mode its normalisations use its own running statistics, not those of the batch at hand.
    """

    def __init__(self, teacher: SensorEncoder) -> None:
        super().__init__()
        self.teacher = teacher
        self.teacher.requires_grad_(False)
        self.teacher.eval()

    @property
    def channels_of(self) -> SensorEncoder:  # type: ignore[override]
        """The teacher."""
        return self.teacher

    def train(self: Teacher, mode: bool = True) -> Teacher:
        """Training mode for all but the teacher."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def forward(self, encoder: SensorEncoder, batch: Batch, tokens: Tokens | None = None) -> BEVMap:
        """The teacher's map."""
        map_: BEVMap = self.teacher(batch)
        return map_


@dataclass(frozen=True)
class EMATargetOptions(TargetOptions):
    """Options of an ``EMATarget``.

    Args:
        momentum: weight of the past at every step.
    """

    momentum: Momentum = Momentum()  # noqa: RUF009 (frozen)

    def build(self, encoder: SensorEncoder) -> "EMATarget":
        """Starts from a copy of the context encoder that shares no storage with it."""
        return EMATarget(copy.deepcopy(encoder), self.momentum)


class EMATarget(_Teacher):
    """The exponential moving average of the context encoder, parameters and buffers, updated per optimiser step."""

    def __init__(self, teacher: SensorEncoder, momentum: Momentum) -> None:
        super().__init__(teacher)
        self.momentum = momentum

    @torch.no_grad()
    def forward(self, encoder: SensorEncoder, batch: Batch, tokens: Tokens | None = None) -> BEVMap:
        """The average's map; it reads the same tokens as the context encoder."""
        return super().forward(encoder, batch) if tokens is None else self.teacher.encode(tokens)

    def after_step(self, encoder: SensorEncoder, step: int) -> None:
        """Move towards the context encoder, which has just made its step number ``step``."""
        update_teacher(self.teacher, encoder, self.momentum.at(step - 1), step - 1)


class FrozenTargetOptions(TargetOptions):
    """Options of a ``FrozenTarget``.

    Args:
        encoder: the trained encoder. In YAML, a bundle's: ``class_path: avjepa.encoders.bundled.load_encoder`` with
            ``init_args: {directory: DIR}``.
    """

    def __init__(self, encoder: SensorEncoder) -> None:
        self.encoder = encoder

    def build(self, encoder: SensorEncoder) -> "FrozenTarget":
        """The trained encoder as the target.

        Raises:
            UserError: it has other cells than the encoder to train.
        """
        if self.encoder.token_grid != encoder.token_grid:
            raise UserError(
                f"FrozenTargetOptions.encoder: its token grid {self.encoder.token_grid} is not that of the encoder to "
                f"train, {encoder.token_grid}; train on the target's grid or choose another target"
            )
        return FrozenTarget(self.encoder)


class FrozenTarget(_Teacher):
    """A trained encoder that stays as it is; of the same sensor or of another one on the same token grid."""


@dataclass(frozen=True)
class SharedTargetOptions(TargetOptions):
    """Options of a ``SharedTarget``.

    Args:
        stop_gradient: train the encoder through the context alone.
    """

    stop_gradient: bool = True

    def build(self, encoder: SensorEncoder) -> "SharedTarget":
        """See ``TargetOptions.build``."""
        return SharedTarget(encoder, self.stop_gradient)


class SharedTarget(TargetEncoder):
    """The context encoder itself, as it is now; a regulariser is all that prevents collapse.

    LeJEPA (2511.08544) stops no gradient. It can afford that because SIGReg holds the very embeddings it compares at
    unit variance. Here the features ahead of the regulariser's projection are compared, and a gradient through the
    target shrinks them, whatever the projection looks like; so by default it is stopped.
    """

    def __init__(self, encoder: SensorEncoder, stop_gradient: bool) -> None:
        super().__init__()
        self.__dict__["channels_of"] = encoder  # not a submodule: it is the objective's
        self.stop_gradient = stop_gradient

    def forward(self, encoder: SensorEncoder, batch: Batch, tokens: Tokens | None = None) -> BEVMap:
        """The context encoder's map of the full target view."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.stop_gradient):
            return encoder.encode(encoder.tokenise(batch) if tokens is None else tokens)


class TargetFeatures(nn.Module):
    """What of a map is to be predicted: several depths, each normalised per cell, joined, standardised per channel.

    The output alone may drift to what is easy to predict; shallow depths are tied to the input. The layer norm makes
    the depths comparable, the standardisation keeps the few channels that vary most from ruling the loss.

    Args:
        encoder: the encoder of the target.
        intermediate_features: join the encoder's intermediate depths to its output.
        normalisation: of each depth in each cell: layer norm without affine (I-JEPA), unit L2 norm (AD-L-JEPA), none.
        standardise: bring every channel to mean 0 and variance 1 over the occupied cells.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        intermediate_features: bool,
        normalisation: Literal["layer", "l2", "none"],
        standardise: bool,
    ) -> None:
        super().__init__()
        self.intermediate_features, self.normalisation = intermediate_features, normalisation
        self.channels = encoder.out_channels + (sum(encoder.intermediate_channels) if intermediate_features else 0)
        self.standardiser = RunningStandardiser(self.channels) if standardise else None

    def forward(self, target: BEVMap, cells: LossCells) -> Float[Tensor, "cell embedding"]:
        """The embeddings to predict in some cells, in fp32; ``cells.occupied`` are the target's observed ones."""
        depths: tuple[CellFeatures, ...] = (DenseFeatures(target.features),)
        if self.intermediate_features:
            depths = (*target.intermediate_features, *depths)
        joined = torch.cat([self._normalised(depth.at(cells.at).float()) for depth in depths], dim=1)
        return joined if self.standardiser is None else self.standardiser(joined, cells.occupied)

    def _normalised(self, rows: Float[Tensor, "cell channel"]) -> Float[Tensor, "cell channel"]:
        if self.normalisation == "layer":
            return nn.functional.layer_norm(rows, rows.shape[1:], eps=1e-6)
        if self.normalisation == "l2":
            return nn.functional.normalize(rows, dim=1, eps=1e-6)
        return rows
