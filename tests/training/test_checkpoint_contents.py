"""A checkpoint that cannot be used is refused before it is, by name."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from avjepa.errors import UserError
from avjepa.training.checkpoint_contents import (
    require_fitting_optimiser,
    require_model,
    require_same_model,
    require_training,
)


def whole() -> dict[str, Any]:
    """What Lightning writes, in miniature."""
    return {
        "epoch": 0,
        "global_step": 2,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": nn.Linear(3, 2).state_dict(),
        "loops": {"fit_loop": {"epoch_progress": {"current": {"ready": 1}}, "state_dict": {}}},
        "callbacks": {},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2, 3)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [{"last_epoch": 2, "base_lrs": [0.1]}],
    }


def test_whole_checkpoint() -> None:
    require_model(whole(), "x.ckpt")
    require_training(whole(), "x.ckpt")
    require_same_model(nn.Linear(3, 2), whole())


@pytest.mark.parametrize("part", [part for part in whole() if part != "state_dict"])
@pytest.mark.parametrize("value", ["gone", None, "text", 1.5])
def test_training_that_cannot_go_on(part: str, value: object) -> None:
    content = whole()
    if value == "gone":
        del content[part]
    else:
        content[part] = value
    with pytest.raises(UserError, match=rf"x\.ckpt: {part} "):
        require_training(content, "x.ckpt")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["loops"]["fit_loop"].update(epoch_progress="x"),
        lambda content: content["loops"]["fit_loop"]["epoch_progress"]["current"].update(ready=-1),
        lambda content: content["lr_schedulers"][0].update(base_lrs=[float("nan")]),
        lambda content: content["optimizer_states"][0]["state"][0]["exp_avg"].fill_(float("inf")),
        lambda content: content.update(optimizer_states=[]),
    ],
)
def test_state_inside_that_cannot_be(change: Any) -> None:
    content = copy.deepcopy(whole())
    change(content)
    with pytest.raises(UserError, match=r"x\.ckpt: (loops|lr_schedulers|optimizer_states) "):
        require_training(content, "x.ckpt")


@pytest.mark.parametrize("state", [None, [], {"weight": 3}, {"weight": torch.tensor([1.0, float("nan")])}])
def test_no_model(state: object) -> None:
    with pytest.raises(UserError, match=r"x\.ckpt"):
        require_model({"state_dict": state}, "x.ckpt")


@pytest.mark.parametrize("other", [nn.Linear(3, 3), nn.Linear(3, 2, bias=False), nn.Linear(3, 2).half()])
def test_another_model(other: nn.Module) -> None:
    with pytest.raises(UserError, match=r"another model: (weight|bias) is "):
        require_same_model(nn.Linear(3, 2), {"state_dict": other.state_dict()})


def test_optimiser_of_another_model() -> None:
    layer = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    require_fitting_optimiser(optimiser)
    optimiser.state[layer.weight]["exp_avg"] = torch.zeros(5)
    with pytest.raises(UserError, match="optimiser state"):
        require_fitting_optimiser(optimiser)
