"""From a checkpoint of pre-training to a backbone bundle."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avjepa.bundle.construction import architecture, build
from avjepa.bundle.files import save_bundle
from avjepa.bundle.manifest import Manifest
from avjepa.bundle.weights import load_strictly
from avjepa.encoders.base import SensorEncoder
from avjepa.errors import UserError
from avjepa.pretrain.objectives.objective import Objective
from avjepa.training.checkpoints import load_checkpoint

KEY = "encoders"


def encoder_architectures(objective: Objective) -> dict[str, dict[str, Any]]:
    """How to rebuild every encoder of an objective, by the name it has there: ``encoder``, ``target.teacher``."""
    encoders = dict(objective.named_modules())
    return {name: architecture(module) for name, module in encoders.items() if isinstance(module, SensorEncoder)}


def export_backbone(
    checkpoint: str | Path,
    directory: str | Path,
    provenance: Mapping[str, Any],
    which: str = "encoder",
    finish: Callable[[SensorEncoder], None] = lambda encoder: None,
) -> Manifest:
    """Write an encoder of a checkpoint as a bundle.

    Args:
        checkpoint: written while training a ``PretrainModule``; it is all that is needed.
        directory: of the bundle.
        provenance: goes into the manifest, together with the step and ``which``.
        which: ``encoder``, the context encoder that was trained, or ``target.teacher``, its moving average, which
            I-JEPA and V-JEPA evaluate. Which of them transfers better depends on the length of the training.
        finish: what is done to the encoder before it is written.

    Raises:
        UserError: the checkpoint cannot be read, is none of pre-training, or has no such encoder.
    """
    content = load_checkpoint(checkpoint)
    found = content.get(KEY)
    if not isinstance(found, dict):
        raise UserError(f"checkpoint {checkpoint}: was not written by pre-training; give one of 'avjepa pretrain'")
    if which not in found:
        raise UserError(f"checkpoint {checkpoint}: has no encoder '{which}'; choose one of {', '.join(found)}")
    prefix = f"objective.{which}."
    state = content["state_dict"]
    tensors = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    encoder = build(SensorEncoder, found[which], f"checkpoint {checkpoint}")  # type: ignore[type-abstract]
    load_strictly(encoder, tensors, f"checkpoint {checkpoint}")
    finish(encoder)
    return save_bundle(encoder, directory, {**provenance, "exported": which, "step": content.get("global_step")})
