import math

import pytest
import torch

from avjepa.heads.detection.losses import gaussian_focal_loss


def test_equals_the_formula_cell_by_cell() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) * 3
    target = torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    target[target > 0.8] = 1.0
    expected = 0.0
    for x, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        expected -= (1 - p) ** 2 * math.log(p) if y == 1 else (1 - y) ** 4 * p**2 * math.log(1 - p)
    assert gaussian_focal_loss(logits, target).item() == pytest.approx(expected, rel=1e-12)


def test_gradient() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0.0, 0.3, 1.0, 0.9]], dtype=torch.float64).expand(3, 4)
    assert torch.autograd.gradcheck(lambda x: gaussian_focal_loss(x, target), logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_confident_mistakes_in_half_precision_stay_finite_and_exact(dtype: torch.dtype) -> None:
    logits = torch.tensor([40.0, -40.0], dtype=dtype, requires_grad=True)
    loss = gaussian_focal_loss(logits, torch.tensor([0.0, 1.0], dtype=dtype))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(80.0, rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all() and (logits.grad.abs() > 0.5).all()
