import copy

import pytest
import torch
from torch import nn

from avjepa.errors import UserError
from avjepa.pretrain.objectives.ema import Momentum, update_teacher
from avjepa.pretrain.objectives.targets import EMATargetOptions
from tests.pretrain.toys import ToyEncoder, toy_batch


def test_momentum_goes_from_start_to_end_in_its_own_steps() -> None:
    linear = Momentum(0.996, 1.0, steps=1000)
    assert [linear.at(s) for s in (0, 500, 1000, 5000)] == pytest.approx([0.996, 0.998, 1.0, 1.0])
    cosine = Momentum(0.9, 1.0, steps=100, curve="cosine")
    assert [cosine.at(s) for s in (0, 50, 100)] == pytest.approx([0.9, 0.95, 1.0])
    assert cosine.at(25) == pytest.approx(0.9 + 0.1 * (1 - 2**-0.5) / 2)
    assert Momentum(0.99, 0.99).at(12345) == 0.99


def test_momentum_neither_restarts_nor_rises_with_a_longer_training() -> None:
    """Defect 6. Resumed at step 600, the teacher moves by step 600's momentum; how long the run will be has no part."""
    options = EMATargetOptions(Momentum(0.0, 1.0, steps=1000))
    student = ToyEncoder()
    target, resumed = options.build(student), options.build(student)
    teacher = target.teacher
    resumed.load_state_dict(target.state_dict())
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    before = next(teacher.parameters()).clone()
    resumed.after_step(student, 601)
    moved = next(resumed.teacher.parameters()) - before
    torch.testing.assert_close(moved, torch.full_like(moved, 0.4))


def test_teacher_is_the_average_by_hand() -> None:
    teacher, student = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    nn.init.constant_(teacher.weight, 1.0)
    nn.init.constant_(student.weight, 3.0)
    update_teacher(teacher, student, 0.75, step=1000)
    assert teacher.weight.tolist() == [[1.5, 1.5]]  # .75 · 1 + .25 · 3
    update_teacher(teacher, student, 0.75, step=1001)
    assert teacher.weight.tolist() == [[1.875, 1.875]]


def test_teacher_follows_running_statistics_too() -> None:
    """Defect 5: a teacher whose buffers stay at (0, 1) normalises by statistics nobody ever had."""
    student = ToyEncoder(norm=True)
    teacher = copy.deepcopy(student)
    for step in range(60):
        student(toy_batch([step, step + 1]).context)
        update_teacher(teacher, student, 0.996, step)
    ours, theirs = student.stem[1], teacher.stem[1]
    assert (ours.running_var - 1).abs().max() > 0.5, "the statistics did move"
    torch.testing.assert_close(theirs.running_var, ours.running_var, rtol=0.05, atol=0.02)
    torch.testing.assert_close(theirs.running_mean, ours.running_mean, rtol=0.05, atol=0.02)
    assert int(theirs.num_batches_tracked) == 60


def test_teacher_stays_in_evaluation_mode() -> None:
    """Defect 5: its output is a function of its state and the sample, not of the batch the sample came in."""
    student = ToyEncoder(norm=True)
    target = EMATargetOptions().build(student)
    target.train()
    student.train()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    alone = target(student, toy_batch([1]).context).features
    together = target(student, toy_batch([1, 2, 3]).context).features
    torch.testing.assert_close(alone, together[:1])
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_teacher_shares_no_storage_and_learns_nothing_by_gradient() -> None:
    student = ToyEncoder(norm=True)
    target = EMATargetOptions().build(student)
    teacher = target.teacher
    ours = {tensor.data_ptr() for tensor in [*student.parameters(), *student.buffers()]}
    theirs = {tensor.data_ptr() for tensor in [*teacher.parameters(), *teacher.buffers()]}
    assert not ours & theirs
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert not target(student, toy_batch([1]).context).features.requires_grad


def test_a_step_moves_the_teacher_once() -> None:
    """``after_step`` is per optimiser step: two updates at constant momentum m leave m² of the past."""
    student = ToyEncoder()
    target = EMATargetOptions(Momentum(0.5, 0.5)).build(student)
    teacher = target.teacher
    past = teacher.body[0].weight.clone()
    with torch.no_grad():
        student.body[0].weight.add_(1.0)
    target.after_step(student, 1)
    target.after_step(student, 2)
    moved = teacher.body[0].weight - past
    torch.testing.assert_close(moved, torch.full_like(moved, 0.75))


@pytest.mark.parametrize("wrong", [{"start": 1.5}, {"end": -0.1}, {"steps": 0}])
def test_a_momentum_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="momentum"):
        Momentum(**wrong)  # type: ignore[arg-type]
