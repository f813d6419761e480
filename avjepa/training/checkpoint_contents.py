"""Whether what a checkpoint holds can be used, found out before it is: weights, and the state of a training."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from avjepa.errors import UserError

_PARTS: dict[str, type] = {
    "epoch": int, "global_step": int, "pytorch-lightning_version": str, "state_dict": dict, "loops": dict,
    "callbacks": dict, "optimizer_states": list, "lr_schedulers": list,
}  # fmt: skip
"""What a training needs to go on."""


def require_model(content: Mapping[str, Any], path: str | Path) -> None:
    """Raise unless a checkpoint holds a model: named tensors of finite numbers.

    Raises:
        UserError: naming the first tensor that is none. No checkpoint is written with such a weight.
    """
    state = content.get("state_dict")
    if not isinstance(state, dict):
        raise UserError(f"checkpoint {path}: holds no model (no 'state_dict'); use a checkpoint written by avjepa")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(f"checkpoint {path}: {name!s:.80} is no tensor; use a checkpoint written by avjepa")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(f"checkpoint {path}: weight {name} is NaN or infinite; use an earlier checkpoint")


def require_same_model(module: nn.Module, content: Mapping[str, Any], path: str | Path = "") -> None:
    """Raise unless a checkpoint holds every tensor of the module, of the same shape and type, and no other.

    Raises:
        UserError: naming one that differs, so that the user sees which option is not as it was.
    """
    wanted, given = module.state_dict(), content["state_dict"]
    for name in [*wanted, *given]:
        ours, theirs = (_described(state[name]) if name in state else "nothing" for state in (wanted, given))
        if ours != theirs:
            raise UserError(
                f"checkpoint {path or '(ckpt_path)'} is of another model: {name} is {theirs} there and {ours} here; "
                "use it with the command and the configuration that it was trained with"
            )


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def require_training(content: Mapping[str, Any], path: str | Path) -> None:
    """Raise unless a checkpoint holds the state of a training that can go on.

    Raises:
        UserError: naming what is missing, of another type, negative or not finite.
    """

    def wrong(part: str, problem: str) -> UserError:
        return UserError(f"checkpoint {path}: {part} {problem}, so no training can go on from it; use another one")

    for part, kind in _PARTS.items():
        if part not in content:
            raise wrong(part, "is missing")
        if not isinstance(content[part], kind) or isinstance(content[part], bool):
            raise wrong(part, f"is no {kind.__name__}")
    if not re.match(r"\d+(\.\d+)+", content["pytorch-lightning_version"]):
        raise wrong("pytorch-lightning_version", "is no version")
    if not _are_counters(content["loops"]):
        raise wrong("loops", "holds more than counters")
    for part in ("optimizer_states", "lr_schedulers"):
        if not content[part] or not all(isinstance(state, dict) for state in content[part]):
            raise wrong(part, "holds no states")
        counters = [state.get(name, 0) for state in content[part] for name in ("last_epoch", "_step_count")]
        if not all(map(_are_counters, counters)):
            raise wrong(part, "counts in something that is no number")
        if not _are_finite(content[part]):
            raise wrong(part, "holds a number that is NaN or infinite")


def _are_counters(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _are_counters(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_are_counters, value))
    return value is None or (isinstance(value, int) and value >= 0)


def _are_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_are_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_are_finite, value))
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    return not isinstance(value, float) or math.isfinite(value)


def require_fitting_optimiser(optimiser: Optimizer) -> None:
    """Raise unless an optimiser's state fits its parameters; PyTorch restores any.

    Raises:
        UserError: a moment has another shape than its parameter, or no state has the entries of the others.
    """
    entries = {frozenset(state) for state in optimiser.state.values()}
    shapes_fit = all(
        isinstance(value, Tensor) and (value.ndim == 0 or value.shape == parameter.shape)
        for parameter, state in optimiser.state.items()
        for value in state.values()
    )
    if len(entries) > 1 or not shapes_fit:
        raise UserError("ckpt_path: the checkpoint's optimiser state is of another model or damaged; use another one")
