"""The learning rate is the formula's, and every trainable parameter reaches the optimiser."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from avjepa.errors import UserError
from avjepa.training.optimiser import learning_rate_factor, optimiser_with_schedule, parameter_groups


def factors(**options: object) -> list[float]:
    settings = {"max_steps": 100, "warmup_steps": 9, "schedule": "cosine", "cooldown_steps": 0, "final_factor": 0.0}
    settings.update(options)
    return [learning_rate_factor(step, **settings) for step in range(101)]  # type: ignore[arg-type]


def test_warm_up_is_a_line_from_a_tenth_to_the_peak() -> None:
    assert factors()[:11] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, factors()[10]])
    assert factors()[10] < 1


def test_cosine_is_half_way_in_the_middle_and_ends_at_the_final_factor() -> None:
    curve = factors(warmup_steps=0, final_factor=0.2)
    assert curve[0] == 1 and curve[50] == pytest.approx(0.6) and curve[100] == pytest.approx(0.2)
    assert curve[25] == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)


def test_constant_keeps_the_peak_and_cools_down_linearly() -> None:
    curve = factors(schedule="constant", cooldown_steps=20)
    assert set(curve[9:81]) == {1.0}
    assert curve[80:101:5] == pytest.approx([1, 0.75, 0.5, 0.25, 0])


def test_lengthening_a_constant_schedule_changes_nothing_before_the_cool_down() -> None:
    short = factors(schedule="constant", cooldown_steps=20)
    long = factors(schedule="constant", cooldown_steps=20, max_steps=500)
    assert short[:81] == long[:81] and long[100] == 1


def test_infinite_falls_to_a_constant_rate_keeps_it_and_is_annealed() -> None:
    curve = factors(schedule="infinite", warmup_steps=0, decay_steps=40, constant_factor=0.5, cooldown_steps=20)
    assert (
        curve[0] == 1 and curve[20] == pytest.approx(0.75) and curve[10] == pytest.approx(0.75 + 0.25 * math.sqrt(0.5))
    )
    assert set(curve[40:81]) == {0.5}
    assert curve[80:101:5] == pytest.approx([0.5, 0.375, 0.25, 0.125, 0])


def test_a_continued_training_never_sees_the_peak() -> None:
    curve = factors(schedule="infinite", decay_steps=0, constant_factor=0.4)
    assert curve[:10] == pytest.approx([0.04 * step for step in range(1, 11)]) and set(curve[9:100]) == {0.4}


@given(
    st.integers(1, 500),
    st.integers(0, 500),
    st.integers(0, 500),
    st.sampled_from(["cosine", "constant", "infinite"]),
    st.floats(0, 1),
    st.integers(0, 500),
)
def test_a_factor_is_a_share(
    max_steps: int, warmup: int, cooldown: int, schedule: str, final: float, decay: int
) -> None:
    for step in range(0, max_steps + 20, 7):
        factor = learning_rate_factor(
            step,
            max_steps=max_steps,
            warmup_steps=warmup,
            schedule=schedule,  # type: ignore[arg-type]
            cooldown_steps=cooldown,
            final_factor=final,
            decay_steps=decay,
            constant_factor=0.3,
        )
        assert 0 <= factor <= 1 + 1e-12


class Tokens(nn.Module):
    """Parameters of its own beside those of children, one of them frozen and one shared."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(4))
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.teacher = nn.Linear(4, 4).requires_grad_(False)
        self.again = self.encoder


def test_every_trainable_parameter_is_optimised_once_and_only_matrices_decay() -> None:
    module = Tokens()
    groups = parameter_groups(module, learning_rate=0.1, weight_decay=0.3)
    listed = [parameter for group in groups for parameter in group["params"]]
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    assert sorted(map(id, listed)) == sorted(map(id, trainable))
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays[id(module.encoder[0].weight)] == 0.3
    exempt = (module.mask_token, module.encoder[0].bias, module.encoder[1].weight, module.encoder[1].bias)
    assert [decays[id(parameter)] for parameter in exempt] == [0, 0, 0, 0]


def test_groups_keep_their_own_peak() -> None:
    head, backbone = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = parameter_groups(head, learning_rate=1.0, weight_decay=0.1)
    groups += parameter_groups(backbone, learning_rate=0.1, weight_decay=0.1)
    built = optimiser_with_schedule(groups, max_steps=10, warmup_steps=4)
    assert [group["lr"] for group in built["optimizer"].param_groups] == pytest.approx([0.2, 0.2, 0.02, 0.02])


def test_groups_may_have_their_own_warm_up() -> None:
    slow, fast = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [{**group, "warmup_steps": 8} for group in parameter_groups(slow, learning_rate=0.5, weight_decay=0.1)]
    groups += parameter_groups(fast, learning_rate=1.0, weight_decay=0.1)
    built = optimiser_with_schedule(groups, max_steps=20, warmup_steps=1, schedule="constant")
    optimiser, schedule = built["optimizer"], built["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(9):
        rates.append([optimiser.param_groups[0]["lr"], optimiser.param_groups[-1]["lr"]])
        optimiser.step()
        schedule.step()
    assert [slow for slow, _ in rates] == pytest.approx([0.5 * step / 9 for step in range(1, 10)])
    assert [fast for _, fast in rates] == pytest.approx([0.5, *[1.0] * 8])
    with pytest.raises(UserError, match=r"warmup_steps 8 \+ cooldown_steps 15 exceed trainer.max_steps 20"):
        optimiser_with_schedule(groups, max_steps=20, warmup_steps=1, schedule="constant", cooldown_steps=15)


@pytest.mark.parametrize("steps", [3, 7])
def test_a_restored_schedule_is_that_of_its_options(steps: int) -> None:
    def built(max_steps: int, rate: float, decay: float):
        groups = parameter_groups(nn.Linear(2, 2), learning_rate=rate, weight_decay=decay)
        configured = optimiser_with_schedule(groups, max_steps=max_steps, warmup_steps=2)
        return configured["optimizer"], configured["lr_scheduler"]["scheduler"]

    old, old_schedule = built(7, 1.0, 0.1)
    for _ in range(steps):
        old.step()
        old_schedule.step()
    new, new_schedule = built(20, 0.5, 0.2)
    new.load_state_dict(old.state_dict())
    new_schedule.load_state_dict(old_schedule.state_dict())
    for step in range(steps, 20):
        share = learning_rate_factor(
            step, max_steps=20, warmup_steps=2, schedule="cosine", cooldown_steps=0, final_factor=0.0
        )
        assert [group["lr"] for group in new.param_groups] == pytest.approx([0.5 * share] * 2)
        assert [group["weight_decay"] for group in new.param_groups] == [0.2, 0.0]
        new.step()
        new_schedule.step()


def test_a_frozen_model_has_nothing_to_train() -> None:
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(UserError, match="nothing to train"):
        optimiser_with_schedule(parameter_groups(frozen, learning_rate=1.0, weight_decay=0.0), max_steps=10)


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    groups = parameter_groups(nn.Linear(2, 2), learning_rate=1.0, weight_decay=0.0)
    with pytest.raises(UserError, match=r"warmup_steps 20.*max_steps 10"):
        optimiser_with_schedule(groups, max_steps=10, warmup_steps=20)
