"""``GlobalBatchNorm`` in two processes against ``torch.nn.BatchNorm`` on the joint batch."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avjepa.encoders.blocks import SparseNorm
from avjepa.training.batch_norm import GlobalBatchNorm, synchronise_batch_norms
from tests.distributed.processes import mean_gradient, on_two_processes

CASES = {
    "map": (nn.BatchNorm2d(3), (4, 3, 5, 2), (2, 2)),
    "map, uneven": (nn.BatchNorm2d(3), (4, 3, 5, 2), (3, 1)),
    "map, one process empty": (nn.BatchNorm2d(3), (4, 3, 5, 2), (4, 0)),
    "rows": (SparseNorm(3), (7, 3), (2, 5)),
    "rows, one process empty": (SparseNorm(3), (7, 3), (0, 7)),
    "rows, one in each process": (SparseNorm(3), (2, 3), (1, 1)),
    "mean over all batches": (nn.BatchNorm1d(3, momentum=None), (7, 3), (2, 5)),
    "no affine": (nn.BatchNorm2d(3, affine=False), (4, 3, 5, 2), (1, 3)),
    "offset": (nn.BatchNorm2d(3), (4, 3, 5, 2), (2, 2)),
}


def inputs(name: str) -> tuple[Tensor, Tensor]:
    """The joint batch, and a gradient for the result."""
    generator = torch.Generator().manual_seed(3)
    x, gradient = torch.randn(2, *CASES[name][1], generator=generator)
    return (1000 + 2 * x, gradient) if name == "offset" else (0.5 + 2 * x.double(), gradient.double())


def norm_of(name: str) -> nn.Module:
    norm = copy.deepcopy(CASES[name][0])
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.rand(3, generator=generator) + 0.5)
    return norm if name == "offset" else norm.double()


def trained(norm: nn.Module, x: Tensor, gradient: Tensor) -> dict[str, Any]:
    """Two steps on the same values."""
    x = x.clone().requires_grad_()
    for _ in range(2):
        y = norm(x)
        y.backward(gradient)
    parameters = {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {"y": y.detach(), "x": x.grad, "buffers": dict(norm.named_buffers()), "parameters": parameters}


def work(rank: int) -> dict[str, Any]:
    results = {}
    for name, (_, _, sizes) in CASES.items():
        wrapped = nn.Sequential(norm_of(name))
        synchronise_batch_norms(wrapped)
        x, gradient = (values.split(sizes)[rank] for values in inputs(name))
        results[name] = trained(wrapped[0], x, gradient)
    alone = GlobalBatchNorm(SparseNorm(3))
    results["one value in all"] = trained(alone, torch.ones(1 - rank, 3), torch.ones(1 - rank, 3))
    return results


@pytest.fixture(scope="module")
def of_two() -> list[dict[str, Any]]:
    return on_two_processes(work)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_normalise_as_one(of_two: list[dict[str, Any]], name: str) -> None:
    expected = trained(norm_of(name), *inputs(name))
    found = [results[name] for results in of_two]
    # single precision holds 1000 ± 2 to 6e-5; the other cases are in double
    tolerance: dict[str, float] = {"rtol": 1e-3, "atol": 1e-3} if name == "offset" else {"rtol": 1e-9, "atol": 1e-9}
    for key in ("y", "x"):
        torch.testing.assert_close(torch.cat([one[key] for one in found]), expected[key], **tolerance)
    for key, value in expected["buffers"].items():
        for one in found:
            torch.testing.assert_close(one["buffers"][key], value)
    for key, value in expected["parameters"].items():
        # the loss of the joint batch is a sum here; DDP takes the mean
        torch.testing.assert_close(2 * mean_gradient([one["parameters"][key] for one in found]), value, **tolerance)


def test_a_single_value_is_normalised_by_the_running_statistics(of_two: list[dict[str, Any]]) -> None:
    found, empty = (results["one value in all"] for results in of_two)
    torch.testing.assert_close(found["y"], torch.full((1, 3), (1 + 1e-5) ** -0.5))  # running mean 0, variance 1
    torch.testing.assert_close(found["x"], torch.full((1, 3), 2 * (1 + 1e-5) ** -0.5))  # two steps
    assert empty["y"].shape == (0, 3)
    assert found["buffers"]["running_mean"].tolist() == [0.0, 0.0, 0.0]
    assert int(found["buffers"]["num_batches_tracked"]) == 0


def test_names_parameters_and_evaluation_stay_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))
    network(torch.randn(4, 2, 3, 3))
    before, x = {name: value.clone() for name, value in network.state_dict().items()}, torch.randn(2, 2, 3, 3)
    parameters = list(network.parameters())
    expected = network.eval()(x)
    synchronise_batch_norms(network)
    assert isinstance(network[1][0], GlobalBatchNorm)
    assert list(network.state_dict()) == list(before)
    assert all(ours is theirs for ours, theirs in zip(network.parameters(), parameters, strict=True))
    assert torch.equal(network(x), expected)
    network.load_state_dict(before)


def half_precision(rank: int) -> Tensor:
    norm = GlobalBatchNorm(nn.BatchNorm2d(4))
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(rank)).bfloat16().requires_grad_()
    y = norm(x.contiguous(memory_format=torch.channels_last))
    y.square().sum().backward()
    assert x.grad is not None and x.grad.dtype == y.dtype == torch.bfloat16
    return y.detach().float()


def test_half_precision_keeps_its_type_and_takes_statistics_in_single() -> None:
    joint = torch.cat(on_two_processes(half_precision))
    torch.testing.assert_close(joint.mean((0, 2, 3)), torch.zeros(4), atol=2e-3, rtol=0)
    torch.testing.assert_close(joint.var((0, 2, 3)), torch.ones(4), atol=1e-2, rtol=0)
