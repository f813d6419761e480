"""The contract of a task head."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from avjepa.data.sample import Batch


class Head(nn.Module, ABC):
    """Turns a BEV feature map into a task's output. Heads are listed by name in YAML with a loss weight each."""

    @abstractmethod
    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Summands of the loss by name, each already weighted within the head. ``batch.labels`` is set."""

    @abstractmethod
    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> Any:
        """The task's predictions, one entry per sample."""
