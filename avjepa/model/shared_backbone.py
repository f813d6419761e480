"""Several sets of heads, of several releases, above one pass through one backbone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from avjepa.bundle.weights import state_hash
from avjepa.data.sample import Batch
from avjepa.errors import UserError
from avjepa.model.perception_model import PerceptionModel


class SharedBackbone(nn.Module):
    """Models whose backbones are one and the same: it runs once, and every model's outputs are its own to the bit.

    Args:
        models: by name; each with the same frozen backbone.

    Raises:
        UserError: their backbones differ, or there is none.
    """

    def __init__(self, models: Mapping[str, PerceptionModel]) -> None:
        super().__init__()
        if not models:
            raise UserError("SharedBackbone: name at least one model")
        first = next(iter(models))
        hashes = {name: state_hash(model.backbone) for name, model in models.items()}
        if other := [name for name, found in hashes.items() if found != hashes[first]]:
            raise UserError(
                f"{', '.join(other)}: of another backbone than {first}; heads share the one they learned on"
            )
        for model in models.values():
            model.backbone = models[first].backbone
        self.models = nn.ModuleDict(models)
        self.eval()

    @torch.no_grad()
    def predict(self, batch: Batch) -> dict[str, dict[str, Any]]:
        """Predictions by model and head."""
        models: dict[str, PerceptionModel] = dict(self.models.items())  # type: ignore[arg-type]
        features = next(iter(models.values())).backbone_map(batch)
        return {name: model.predictions_above(features, batch) for name, model in models.items()}
