"""A run whose numbers are no longer finite stops before it spoils its weights."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.errors import UserError


class NonFiniteError(UserError):
    """A loss or a weight is NaN or infinite."""


def require_finite_loss(
    loss: Float[Tensor, ""], terms: Mapping[str, Float[Tensor, ""]], step: int, tokens: Sequence[str] = ()
) -> None:
    """Raise unless the loss is finite; the message names the terms that are not, and the samples of the batch.

    Raises:
        NonFiniteError: before the backward pass, so the weights and the last checkpoint are still good.
    """
    if torch.isfinite(loss):
        return
    wrong = [f"{name} = {value.item()}" for name, value in terms.items() if not torch.isfinite(value)]
    batch = f", batch of {', '.join(tokens)}" if tokens else ""
    raise NonFiniteError(
        f"loss is {loss.item()} at step {step}: {', '.join(wrong) or 'every term is finite, their sum is not'}{batch}; "
        "lower the learning rate, clip gradients (trainer.gradient_clip_val), or look at these samples"
    )


def require_finite_weights(module: nn.Module, step: int) -> None:
    """Raise unless all parameters and buffers of a module are finite.

    Raises:
        NonFiniteError: naming the first tensor that is not.
    """
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise NonFiniteError(
                f"weight {name} is not finite after step {step}, so no checkpoint of it was "
                "written; lower the learning rate or clip gradients (trainer.gradient_clip_val)"
            )
