"""Backbone, neck and heads as one network."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.bundle.rebuildable import Rebuildable
from avjepa.data.sample import Batch
from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError
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
        self._backbone_learns = True

    @property
    def backbone_learns(self) -> bool:
        """Whether the backbone gets gradients. Where it does not, it also stays in eval mode: no statistics drift."""
        return self._backbone_learns

    @backbone_learns.setter
    def backbone_learns(self, learns: bool) -> None:
        self._backbone_learns = learns
        self.backbone.train(self.training and learns)

    def train(self, mode: bool = True) -> "PerceptionModel":
        """Switch the mode of everything except a backbone that does not learn."""
        super().train(mode)
        self.backbone.train(mode and self._backbone_learns)
        return self

    def forward(self, batch: Batch) -> Float[Tensor, "batch channel y x"]:
        """The map that the heads read, on the backbone's token grid."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._backbone_learns):
            features = self.backbone(batch).features
        bev: Tensor = self.neck(features)
        return bev

    def loss(self, batch: Batch) -> PerceptionLoss:
        """Weighted sum of the heads' losses; ``batch.labels`` is set."""
        return self._loss(self(batch), batch)

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, Any]:
        """Predictions of every head by name."""
        return self._predictions(self(batch), batch)

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
