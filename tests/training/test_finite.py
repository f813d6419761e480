"""A loss or weight that is not finite stops the run by name."""

import pytest
import torch
from torch import nn

from avjepa.training.finite import NonFiniteError, require_finite_loss, require_finite_weights

NAN = torch.tensor(float("nan"))


def test_the_term_and_the_samples_are_named() -> None:
    terms = {"prediction": torch.tensor(0.5), "variance": NAN, "sigreg": torch.tensor(float("inf"))}
    with pytest.raises(NonFiniteError, match=r"step 12: variance = nan, sigreg = inf, batch of abc, def") as error:
        require_finite_loss(NAN, terms, 12, ("abc", "def"))
    assert "prediction" not in str(error.value)


def test_a_sum_that_overflows_is_told_apart() -> None:
    with pytest.raises(NonFiniteError, match="every term is finite"):
        require_finite_loss(torch.tensor(float("inf")), {"a": torch.tensor(3e38)}, 1)


def test_a_finite_loss_passes_whatever_is_logged_beside_it() -> None:
    require_finite_loss(torch.tensor(1.0), {"measure of an empty batch": NAN}, 1)


def test_weights_and_buffers_are_looked_at() -> None:
    layer = nn.BatchNorm1d(3)
    require_finite_weights(layer, 1)
    layer.running_var[1] = float("inf")  # type: ignore[index]
    with pytest.raises(NonFiniteError, match="running_var"):
        require_finite_weights(layer, 1)
