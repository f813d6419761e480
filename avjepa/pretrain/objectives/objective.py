"""The contract that JEPA and the objectives it is compared with share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.pretrain.objectives.distance import Distance


@dataclass(frozen=True)
class Embeddings:
    """Detached, for diagnostics. An objective without a role leaves it ``None``."""

    context: Float[Tensor, "batch channel y x"]
    """The context encoder's output."""
    masked: Bool[Tensor, "batch y x"]
    """Cells hidden from the context encoder."""
    occupied: Bool[Tensor, "batch y x"]
    """Cells occupied in the full input of the context."""
    compared: Bool[Tensor, "batch y x"] | None = None
    """Cells on which prediction and target were compared; their embeddings are in the order of its ``nonzero()``."""
    prediction: Float[Tensor, "cell embedding"] | None = None
    target: Float[Tensor, "cell embedding"] | None = None
    distance: Distance = "cosine"
    """In which they are compared."""


@dataclass(frozen=True)
class ObjectiveOutput:
    """Result of one forward pass."""

    loss: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]
    """Every weighted summand of the loss by name, detached, plus measures worth logging."""
    embeddings: Embeddings


class Objective(nn.Module, ABC):
    """Owns the encoder that is being trained and whatever else the objective needs.

    Randomness (masks, input drop-out) is drawn per sample from ``batch.context.seeds``. The loss is a mean over samples
    of per-sample means, and statistics across samples are reduced over processes, so that N processes give the loss
    and the gradients of one.
    """

    encoder: SensorEncoder

    @abstractmethod
    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch."""

    def after_step(self, step: int) -> None:
        """Called once after every optimiser step (not after every batch), with the number of steps done so far.

        Steps are counted over the whole training, resumed runs included.
        """
