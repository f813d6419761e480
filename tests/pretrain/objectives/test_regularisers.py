import math

import pytest
import torch
from torch import Tensor

from avjepa.distributed import moments
from avjepa.pretrain.objectives.regularisers import (
    RegulariserOptions,
    SIGReg,
    SIGRegOptions,
    covariance_term,
    random_directions,
    sigreg,
    variance_term,
)
from avjepa.pretrain.token_norms import RunningStandardiser, TokenNorm


def gaussian(count: int, channels: int) -> Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(0))


def of_rank_four(count: int, channels: int, seed: int) -> Tensor:
    """Gaussian in a random subspace of four dimensions, of variance 1 per channel on average."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(channels, 4, generator=generator))
    return torch.randn(count, 4, generator=generator) @ basis.T * (channels / 4) ** 0.5


@pytest.mark.parametrize(
    ("count", "expected"), [(256, (1.05, 103.0, 62.0, 39.0, 15.6)), (1024, (0.97, 412.0, 244.0, 155.0, 54.0))]
)
def test_sigreg_has_its_known_values(count: int, expected: tuple[float, ...]) -> None:
    """Gaussian, zeros, twice and half a Gaussian, and rank 4 (which depends on the draw), in 128 dimensions."""
    directions = random_directions(512, 128, seed=1)
    normal = gaussian(count, 128)
    values = [float(sigreg(tokens, directions)) for tokens in (normal, 0 * normal, 2 * normal, normal / 2)]
    low_rank = [float(sigreg(of_rank_four(count, 128, seed), directions)) for seed in range(4)]
    assert values[0] == pytest.approx(expected[0], rel=0.1)
    assert values[1:] == pytest.approx(expected[1:4], rel=0.03)
    assert sum(low_rank) / 4 == pytest.approx(expected[4], rel=0.2)


def test_sigreg_of_zeros_by_formula() -> None:
    """All cosines are 1, all sines 0: N Σ w φ (1 - φ)², summed here by hand."""
    step, total = 3 / 16, 0.0
    for j in range(17):
        phi = math.exp(-((3 * j / 16) ** 2) / 2)
        total += (step if j in (0, 16) else 2 * step) * phi * (1 - phi) ** 2
    assert float(sigreg(torch.zeros(50, 8), random_directions(4, 8, seed=0))) == pytest.approx(50 * total, rel=1e-5)


def test_directions_are_unit_and_change_with_the_step_alone() -> None:
    torch.testing.assert_close(random_directions(64, 16, seed=3).norm(dim=1), torch.ones(64))
    assert torch.equal(random_directions(8, 4, seed=3), random_directions(8, 4, seed=3))
    assert not torch.equal(random_directions(8, 4, seed=3), random_directions(8, 4, seed=4))

    def fresh() -> SIGReg:
        torch.manual_seed(0)
        return SIGRegOptions(directions=4, width=8).build(16, 16)

    tokens = gaussian(32, 16)
    first, resumed = fresh(), fresh()
    at_zero = first(tokens, tokens)["sigreg"]
    first.after_step(7)
    assert first(tokens, tokens)["sigreg"] != at_zero
    resumed.load_state_dict(first.state_dict())
    assert resumed(tokens, tokens)["sigreg"] == first(tokens, tokens)["sigreg"]


def test_vicreg_terms_by_hand() -> None:
    tokens = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.5, 0.0], [-0.5, 0.0]])
    # variances 2.5 / 4 and 0
    by_hand = ((1 - math.sqrt(0.625 + 1e-4)) + (1 - math.sqrt(1e-4))) / 2
    assert float(variance_term(tokens)) == pytest.approx(by_hand, rel=1e-5)
    pair = torch.tensor([[1.0, 2.0, 0.0], [-1.0, -2.0, 0.0]])
    # covariance of the first two channels (1·2 + 1·2) / (2 - 1) = 4, twice off the diagonal, over 3 channels
    assert float(covariance_term(pair)) == pytest.approx(2 * 16 / 3)
    assert float(variance_term(3 * gaussian(500, 4))) == 0.0


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("options", [SIGRegOptions])
def test_no_token_or_one_gives_finite_terms_and_gradients(options: type[RegulariserOptions], count: int) -> None:
    """Defect 7: the std of one visible cell was NaN."""
    regulariser = options().build(8, 6)
    context = gaussian(count, 8).requires_grad_()
    prediction = torch.zeros(count, 6, requires_grad=True)
    total = torch.stack(list(regulariser(context, prediction).values())).sum()
    total.backward()
    assert total.isfinite()
    for tensor in (context, prediction, *regulariser.parameters()):
        assert tensor.grad is None or tensor.grad.isfinite().all()


@pytest.mark.parametrize("options", [SIGRegOptions])
def test_descending_a_regulariser_undoes_collapse(options: type[RegulariserOptions]) -> None:
    torch.manual_seed(0)
    regulariser = options().build(8, 8)
    tokens = (torch.ones(64, 8) + 0.01 * gaussian(64, 8)).requires_grad_()
    parameters = [tokens, *regulariser.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=0.05)

    def rank() -> float:
        values = torch.linalg.svdvals((tokens - tokens.mean(0)).detach())
        share = values / torch.linalg.svdvals(tokens.detach()).sum()
        return float(share.sum())

    collapsed = rank()
    for step in range(150):
        terms = regulariser(tokens, tokens)
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        regulariser.after_step(step + 1)
    assert collapsed < 0.1
    assert rank() > 3 * collapsed


def test_moments_of_nothing_are_zero() -> None:
    mean, variance = moments(torch.zeros(0, 3))
    assert mean.tolist() == variance.tolist() == [0, 0, 0]


def test_token_norm_equals_batch_norm() -> None:
    ours, theirs = TokenNorm(5), torch.nn.BatchNorm1d(5)
    for seed in range(3):
        tokens = 3 + 2 * torch.randn(40, 5, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(ours(tokens), theirs(tokens))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_variance, theirs.running_var * 39 / 40, rtol=0.03, atol=0.0)
    ours.eval()
    assert ours(torch.full((1, 5), 3.0)).isfinite().all()


def test_standardiser_brings_counted_cells_to_mean_0_and_variance_1() -> None:
    standardiser = RunningStandardiser(2, momentum=0.9)
    counted = torch.rand(60, generator=torch.Generator().manual_seed(1)) < 0.5
    features = torch.where(counted[:, None], gaussian(60, 2) * 4 + 7, 1000.0)
    out = standardiser(features, counted)[counted]
    torch.testing.assert_close(out.mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(2), atol=1e-2, rtol=0)
    state = {name: tensor.clone() for name, tensor in standardiser.state_dict().items()}
    assert standardiser(features, torch.zeros_like(counted)).isfinite().all()
    standardiser.eval()
    standardiser(features + 50, counted)
    for name, tensor in standardiser.state_dict().items():
        assert torch.equal(tensor, state[name]), "neither nothing counted nor evaluation changes the statistics"
