"""Backbone, neck and heads as one network."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.bundle.rebuildable import Rebuildable
from avjepa.data.empty_sensor import with_one_of
from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError
from avjepa.features.store import FeatureStore
from avjepa.heads.base import Head
from avjepa.model.neck import Neck


@dataclass(frozen=True)
class PerceptionLoss:
    """Result of one training step."""

    total: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]
    """Every weighted summand as ``head/term``, detached."""


class PerceptionModel(Rebuildable):
    """A backbone, a dense neck, and any number of heads that read the neck's map.

    Args:
        backbone: turns the batch into a BEV map.
        neck: trained with the heads.
        heads: by name.
        loss_weights: weight of a head's loss; 1 where not given.

    Attributes:
        maps: the maps of a frozen backbone, which are read instead of being computed; ``None`` where there are none.
    """

    def __init__(
        self,
        backbone: BEVBackbone,
        neck: Neck,
        heads: dict[str, Head],  # type: ignore[type-arg]  # jsonargparse does not see into generic aliases
        loss_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not heads:
            raise UserError("heads: name at least one head")
        if unknown := sorted(set(loss_weights or {}) - set(heads)):
            raise UserError(f"loss_weights: {unknown} are not among the heads {sorted(heads)}")
        self.backbone = backbone
        self.neck = neck
        self.heads = nn.ModuleDict(heads)
        self.loss_weights = {name: 1.0 for name in heads} | dict(loss_weights or {})
        self.maps: FeatureStore | None = None
        self._still: tuple[nn.Module, ...] = ()

    def hold_still(self, parts: Sequence[nn.Module]) -> None:
        """From now on these parts of the model do not learn, and all others do.

        They stay in eval mode, so that no statistics drift, and their parameters' gradients are 0.
        """
        if self._still != tuple(parts):
            self._still = tuple(parts)
            self.train(self.training)

    def train(self, mode: bool = True) -> "PerceptionModel":
        """Switch the mode of everything except what is held still."""
        super().train(mode)
        for part in self._still:
            part.eval()
        return self

    def still_parameters(self) -> list[nn.Parameter]:
        """Those of the parts that are held still."""
        return [parameter for part in self._still for parameter in part.parameters()]

    def forward(self, batch: Batch) -> Float[Tensor, "batch channel y x"]:
        """The map that the heads read, on the backbone's token grid.

        A batch in which no sample has data of a sensor that the backbone reads is one in which it gave nothing.
        """
        bev: Tensor = self.neck(self.backbone_map(batch))
        return bev

    def backbone_map(self, batch: Batch) -> Float[Tensor, "batch channel y x"]:
        """The backbone's map, computed or read from ``maps``."""
        if self.maps is not None:
            return self.maps.maps(batch).to(batch.bev_from_level.device, non_blocking=True)
        features: Tensor = self.backbone(with_one_of(batch, self.backbone.sensors_read())).features
        return features

    def loss(self, batch: Batch) -> PerceptionLoss:
        """Weighted sum of the heads' losses; ``batch.labels`` is set."""
        held = [parameter for parameter in self.still_parameters() if parameter.requires_grad]
        with _without_gradient(held):
            loss = self._loss(self(batch), batch)
        if not held or not torch.is_grad_enabled():
            return loss
        # distributed training waits for a gradient of every parameter that may learn
        return PerceptionLoss(loss.total + 0.0 * torch.stack([p.sum() for p in held]).sum(), loss.terms)

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """Predictions of every head by name."""
        return self.predictions_above(self.backbone_map(batch), batch)

    @torch.no_grad()
    def predictions_above(self, features: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Any]:
        """Predictions of every head by name, from a map of the backbone."""
        return self._predictions(self.neck(features), batch)

    @torch.no_grad()
    def loss_and_predictions(self, batch: Batch) -> tuple[PerceptionLoss, dict[str, Any]]:
        """Both for one pass through backbone and neck."""
        bev = self(batch)
        return self._loss(bev, batch), self._predictions(bev, batch)

    def _loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> PerceptionLoss:
        terms = {
            f"{name}/{term}": self.loss_weights[name] * value
            for name, head in self.heads.items()
            for term, value in head.loss(bev, batch).items()  # type: ignore[operator]
        }
        total = torch.stack(list(terms.values())).sum()
        return PerceptionLoss(total, {name: value.detach() for name, value in terms.items()})

    def _predictions(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Any]:
        return {name: head.predict(bev, batch) for name, head in self.heads.items()}  # type: ignore[operator]


@contextlib.contextmanager
def _without_gradient(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within the block no graph is recorded for these parameters: what is held still costs no backward pass."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
