"""Neck and heads of an earlier fine-tuning, as a start for another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from avjepa.bundle.weights import load_strictly, require_fitting
from avjepa.errors import UserError
from avjepa.model.perception_model import PerceptionModel
from avjepa.training.checkpoints import LAST, load_checkpoint
from avjepa.training.console import status
from avjepa.training.defaults import CHECKPOINTS
from avjepa.training.provenance import PROVENANCE

_PARTS = ("neck", "heads")
_MODEL = "model."  # before the names of a checkpoint of FinetuneModule


@dataclass(frozen=True)
class EarlierHeads:
    """Weights of a neck and heads.

    Args:
        folder: of the run that they are from.
        tensors: by name within the model, as in ``neck.blocks.0.weight``.
        taxonomy: digest of the classes that they were trained for; ``None`` where nobody knows.
    """

    folder: str
    tensors: Mapping[str, Tensor]
    taxonomy: str | None

    def load_into(self, model: PerceptionModel) -> None:
        """Copy them into a model, every tensor or none; says on stderr what matched."""
        counts = load_strictly(_parts(model), self.tensors, self.folder)
        status(f"neck and heads of {self.folder}: {counts}")


def heads_of_run(folder: str, model: PerceptionModel) -> EarlierHeads:
    """The weights of neck and heads at the end of an earlier fine-tuning, which fit a model.

    Args:
        folder: of the run.
        model: that is to start from them.

    Raises:
        UserError: there is no such checkpoint, it holds more than tensors and plain values, or a tensor is missing,
            unexpected or of another shape.
    """
    path = checkpoint_of(folder)
    if not path.is_file():
        raise UserError(f"--init_heads {folder}: holds no {CHECKPOINTS}/{LAST}; name the folder of an avjepa finetune")
    content = load_checkpoint(path)
    starts = tuple(f"{_MODEL}{part}." for part in _PARTS)
    state = content["state_dict"]
    tensors = {name.removeprefix(_MODEL): tensor for name, tensor in state.items() if name.startswith(starts)}
    require_fitting(_parts(model), tensors, f"--init_heads {folder}")
    made_with = content.get(PROVENANCE)
    data = made_with.get("data") if isinstance(made_with, Mapping) else None
    taxonomy = data.get("taxonomy") if isinstance(data, Mapping) else None
    return EarlierHeads(folder, tensors, taxonomy if isinstance(taxonomy, str) else None)


def checkpoint_of(folder: str) -> Path:
    """Where the last checkpoint of a run lies."""
    return Path(folder) / CHECKPOINTS / LAST


def _parts(model: PerceptionModel) -> nn.ModuleDict:
    return nn.ModuleDict({part: getattr(model, part) for part in _PARTS})
