"""AdamW with a learning rate that is a pure function of the step."""

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Literal

import torch
from lightning import Trainer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from avjepa.errors import UserError
from avjepa.ranges import require_number

Schedule = Literal["cosine", "constant", "infinite"]

LARGEST_RATE = 1.0
"""Learning rate: a step of AdamW moves every weight by about as much, which none survives."""


def require_rates(learning_rate: float, weight_decay: float) -> None:
    """Raise for rates that no training survives.

    Raises:
        UserError: the learning rate is not above 0 or larger than ``LARGEST_RATE``, or the decay of a step, their
            product, is not between 0 and the whole weight.
    """
    require_number("model.learning_rate", learning_rate, above=0, at_most=LARGEST_RATE)
    require_number("model.weight_decay", weight_decay, at_least=0, at_most=1 / learning_rate)


def parameter_groups(
    module: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    by_depth: Sequence[nn.Module] = (),
    layer_decay: float = 1.0,
    without: Collection[nn.Parameter] = (),
) -> list[dict[str, Any]]:
    """Optimiser groups of *all* trainable parameters of a module: those that decay and those that do not.

    Biases and one-dimensional parameters (norms, mask and empty tokens) do not decay (I-JEPA, V-JEPA).

    With a ``layer_decay``, the peak learning rate falls with the distance from the head, which counts 0 itself
    (ELECTRA, arXiv 2003.10555, appendix A; BEiT, arXiv 2106.08254): the last of n parts has learning_rate ·
    layer_decay, the first learning_rate · layer_decay^n. There is a pair of groups for every part then.

    Args:
        module: what to train.
        learning_rate: peak.
        weight_decay: of AdamW.
        by_depth: parts of the module from input to output; what lies outside of them (tokens that replace hidden
            input) is of the first part.
        layer_decay: factor from one part to the one before it.
        without: parameters that are in other groups.
    """
    part_of = {parameter: part for part, child in enumerate(by_depth) for parameter in child.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter not in without:
            exempt = parameter.ndim <= 1 or name.rsplit(".", 1)[-1] == "bias"
            distance = len(by_depth) - part_of.get(parameter, 0)
            groups.setdefault((layer_decay**distance, exempt), []).append(parameter)
    return [
        {"params": parameters, "lr": learning_rate * factor, "weight_decay": 0.0 if exempt else weight_decay}
        for (factor, exempt), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def learning_rate_factor(
    step: int,
    *,
    max_steps: int,
    warmup_steps: int,
    schedule: Schedule,
    cooldown_steps: int,
    final_factor: float,
    decay_steps: int = 0,
    constant_factor: float = 1.0,
) -> float:
    """Share of the peak learning rate that optimiser step ``step`` (counted from 0) uses.

    Linear warm-up, reaching the peak at step ``warmup_steps``; then

    - ``cosine``: half a cosine from the peak to ``final_factor`` at ``max_steps``;
    - ``constant``: the peak, then a line down to ``final_factor`` over the last ``cooldown_steps`` (V-JEPA 2,
      arXiv 2506.09985, section 2: a run can be lengthened up to the cool-down without a change to what it did before);
    - ``infinite``: half a cosine from the peak to ``constant_factor`` over ``decay_steps``, that rate, then a line down
      to ``final_factor`` over the last ``cooldown_steps`` ("Beyond Cosine Decay", arXiv 2503.02844, section 3: a
      training that is continued later goes on at the constant rate and need not rise to the peak again, where it would
      forget). Without ``decay_steps`` the warm-up ends at ``constant_factor``: that is such a training.
    """
    constant = constant_factor if schedule == "infinite" else 1.0
    if step < warmup_steps:
        return (1.0 if decay_steps > 0 else constant) * (step + 1) / (warmup_steps + 1)
    if schedule == "infinite" and step < warmup_steps + decay_steps:
        return constant + (1 - constant) * 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / decay_steps))
    if schedule == "cosine":
        progress = min(1.0, (step - warmup_steps) / max(1, max_steps - warmup_steps))
        return final_factor + (1 - final_factor) * 0.5 * (1 + math.cos(math.pi * progress))
    remaining = max(0, max_steps - step)
    if remaining >= cooldown_steps:
        return constant
    return final_factor + (constant - final_factor) * remaining / cooldown_steps


class StepSchedule(LambdaLR):
    """Every group's peak rate times a factor of the step.

    A checkpoint says which step is next, and nothing else: rates and weight decay are those of the options that this
    run was given, so a training that is lengthened goes on along the longer schedule, and one that is resumed with
    another learning rate uses it. (``LambdaLR`` would restore the old rates beside the new factor.)

    Args:
        optimiser: its groups have their peak learning rates.
        factors: of a step, counted from 0; one for every group.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, factors: Sequence[Callable[[int], float]]) -> None:
        self._factors = list(factors)
        self._weight_decays = [group["weight_decay"] for group in optimiser.param_groups]
        super().__init__(optimiser, self._factors)

    def state_dict(self) -> dict[str, Any]:
        """The step."""
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the step. The optimiser has been restored before, with the rates of its checkpoint."""
        self.last_epoch, self._step_count = state_dict["last_epoch"], state_dict["_step_count"]
        pairs = zip(self.base_lrs, self._factors, strict=True)
        self._last_lr = [peak * factor(self.last_epoch) for peak, factor in pairs]
        groups = zip(self.optimizer.param_groups, self.base_lrs, self._last_lr, self._weight_decays, strict=True)
        for group, peak, rate, weight_decay in groups:
            group |= {"initial_lr": peak, "lr": rate, "weight_decay": weight_decay}


def optimiser_with_schedule(
    groups: Sequence[dict[str, Any]],
    *,
    max_steps: int,
    warmup_steps: int = 0,
    schedule: Schedule = "cosine",
    cooldown_steps: int = 0,
    final_factor: float = 0.0,
    decay_steps: int = 0,
    constant_factor: float = 1.0,
) -> OptimizerLRSchedulerConfig:
    """What ``configure_optimizers`` returns: AdamW over ``groups``, each group's rate times a factor of the step.

    Args:
        groups: ``parameter_groups`` of one or more modules; each keeps its own peak learning rate, and its own
            ``warmup_steps`` where it has that key.
        max_steps: optimiser steps of the whole training, see ``planned_steps``.
        warmup_steps: see ``learning_rate_factor``, as are the others.
        schedule: shape after the warm-up.
        cooldown_steps: length of the final line of the ``constant`` and the ``infinite`` schedule.
        final_factor: share of the peak at the end.
        decay_steps: from the peak to the constant rate of the ``infinite`` schedule.
        constant_factor: that rate as a share of the peak.

    Raises:
        UserError: nothing is trainable, or warm-up and cool-down do not fit into the training.
    """
    if not groups:
        raise UserError("nothing to train: every parameter is frozen; unfreeze the backbone or add a head")
    warmups = [int(group.get("warmup_steps", warmup_steps)) for group in groups]
    lengths = {"warmup": max(warmups), "decay": decay_steps, "cooldown": cooldown_steps}
    if sum(lengths.values()) > max_steps:
        parts = " + ".join(f"{name}_steps {length}" for name, length in lengths.items() if length)
        raise UserError(f"{parts} exceed trainer.max_steps {max_steps}; shorten them or train for longer")
    factors = [
        partial(
            learning_rate_factor,
            max_steps=max_steps,
            warmup_steps=warmup,
            schedule=schedule,
            cooldown_steps=cooldown_steps,
            final_factor=final_factor,
            decay_steps=decay_steps,
            constant_factor=constant_factor,
        )
        for warmup in warmups
    ]
    optimiser = torch.optim.AdamW([{k: v for k, v in group.items() if k != "warmup_steps"} for group in groups])
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": StepSchedule(optimiser, factors), "interval": "step"}}


def planned_steps(trainer: Trainer) -> int:
    """Optimiser steps of the whole training.

    Raises:
        UserError: ``trainer.max_steps`` is not set, or 0; the schedule would not know where it ends.
    """
    if trainer.max_steps < 1:
        raise UserError(f"trainer.max_steps: must be at least 1, got {trainer.max_steps}; say how many optimiser steps")
    return trainer.max_steps
