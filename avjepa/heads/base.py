"""The contract of a task's head."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from avjepa.bundle.rebuildable import Rebuildable
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.geometry.grid import BEVGrid

Prediction = TypeVar("Prediction")


class Head(Rebuildable, ABC, Generic[Prediction]):
    """Turns a BEV feature map into a task's output.

    Attributes:
        needs_boxes: whether it is taught from annotated boxes; a data set may have none.
        needs_clips: whether it is taught by several keyframes of a scene in one batch.
        needs_queries: whether it predicts for boxes that it is given as ``Batch.queries``.
        map_grid: grid of the map mask that it wants in ``Batch.drivable`` to be taught; ``None`` for none.
    """

    needs_boxes: bool = True
    needs_clips: bool = False
    needs_queries: bool = False
    map_grid: BEVGrid | None = None

    @abstractmethod
    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Summands of the loss by name, each already weighted within the head. ``batch.labels`` is set."""

    @abstractmethod
    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> tuple[Prediction, ...]:
        """The task's predictions, one entry per sample."""

    def deployed(self, bev: Float[Tensor, "1 channel y x"]) -> dict[str, Tensor]:
        """What a deployment gets of one sample, by name: dense operations alone, as ``torch.export`` can follow.

        None for a head that has nothing of the kind, by default.
        """
        return {}

    def deployment_facts(self) -> dict[str, Any]:
        """What a deployment has to know to use it: classes, grid, thresholds. Plain values."""
        return {}


class HeadOptions(ABC):
    """Everything about a head but the map that it reads. Constructor arguments are YAML keys."""

    @abstractmethod
    def build(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> Head[Any]:
        """The head for a map of so many channels on a grid and for the classes of a taxonomy, with new weights."""
