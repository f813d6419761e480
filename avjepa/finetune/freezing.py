"""What of a model stays as it is throughout a training, and what is left to learn."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from torch import nn

from avjepa.encoders.base import BEVBackbone
from avjepa.errors import UserError
from avjepa.finetune.stages import Stage

Mode: TypeAlias = Literal["end_to_end", "frozen_encoders", "frozen"]


def frozen_parts(mode: Mode, backbone: BEVBackbone, of_branches: bool) -> list[BEVBackbone]:
    """The parts of a backbone that a mode leaves as they are.

    Args:
        mode: ``model.mode``.
        backbone: of the model.
        of_branches: whether bundles were given of its branches alone, so that what fuses them is new.

    Raises:
        UserError: the mode makes no sense for such a backbone.
    """
    if mode == "frozen_encoders" and backbone.pretrained_parts() == [backbone]:
        raise UserError(
            f"model.mode: frozen_encoders leaves what fuses several encoders to learn, and {type(backbone).__name__} "
            "fuses none; choose frozen or end_to_end"
        )
    if mode == "frozen" and of_branches:
        raise UserError(
            "model.mode: frozen would freeze what fuses the branches of --bundles, which is new; choose frozen_encoders"
        )
    return {"frozen": [backbone], "frozen_encoders": backbone.pretrained_parts(), "end_to_end": []}[mode]


def require_something_to_learn(model: nn.Module, stages: Sequence[Stage], mode: Mode) -> None:
    """Raise unless something of a model, whose frozen parameters need no gradient, learns in every stage.

    Raises:
        UserError: naming the stage; or it names a part that the model does not have.
    """
    for number, stage in enumerate(stages):
        held = {parameter for part in stage.still(model) for parameter in part.parameters()}
        if all(parameter in held or not parameter.requires_grad for parameter in model.parameters()):
            raise UserError(
                f"model.stages: number {number} has {', '.join(stage.learn)} learn alone, which model.mode {mode} "
                "freezes; leave the stage out, or choose another mode"
            )
