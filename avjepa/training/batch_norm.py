"""Batch normalisation over the samples of all processes, so that N processes train as one does with an N times larger
batch."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from avjepa.distributed import world_size


class GlobalBatchNorm(nn.Module):
    """Takes the place of a batch normalisation where several processes train: the same parameters, buffers and names.

    ``torch.nn.SyncBatchNorm`` does this on CUDA alone and refuses a process that holds nothing. Here every process may
    hold any number of values, as the sparse sites of a cloud and the images of a moment differ from one to another.
    Fewer than two values over all processes have no variance: they are normalised with the running statistics, which
    then stay as they are.

    Args:
        norm: whose parameters and buffers, the same objects, are used.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.momentum, self.eps = norm.momentum, norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))
        self.train(norm.training)

    def forward(self, x: Float[Tensor, "sample channel *place"]) -> Float[Tensor, "sample channel *place"]:
        """Normalised over all processes in training, by the running statistics in evaluation."""
        if not self.training:
            own = self.running_mean is None
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, own, 0.0, self.eps
            )
        count, mean, variance = global_statistics(x)
        enough = count >= 2
        if self.running_mean is not None and self.running_var is not None:
            self._follow(enough, mean, variance * (count / (count - 1).clamp(min=1)))
            mean = torch.where(enough, mean, self.running_mean)
            variance = torch.where(enough, variance, self.running_var)
        normalised: Tensor = _Normalise.apply(x, self.weight, self.bias, mean, variance, count, self.eps)  # type: ignore[no-untyped-call]
        return normalised

    @torch.no_grad()
    def _follow(self, enough: Tensor, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked += enough
        share = 1 / self.num_batches_tracked.clamp(min=1) if self.momentum is None else self.momentum * enough
        self.running_mean.copy_(torch.where(enough, self.running_mean.lerp(mean, share), self.running_mean))
        self.running_var.copy_(torch.where(enough, self.running_var.lerp(variance, share), self.running_var))


@torch.no_grad()
def global_statistics(
    x: Float[Tensor, "sample channel *place"],
) -> tuple[Float[Tensor, ""], Float[Tensor, "channel"], Float[Tensor, "channel"]]:
    """Values of a channel, and its mean and (biased) variance, over all processes; zeros if nobody holds a value.

    The processes' own moments are merged (Chan et al., 1979), which loses no digits and takes one exchange.
    """
    values = x.to(torch.promote_types(x.dtype, torch.float32)).transpose(0, 1).flatten(1)
    channels, number = values.shape
    own = values.new_zeros(2 * channels + 1)
    if number:
        variance, mean = torch.var_mean(values, 1, correction=0)
        own = torch.cat((values.new_tensor([number]), mean, variance))
    everyone = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(everyone, own)
    joined = torch.stack(everyone)
    counts, means, variances = joined[:, :1], joined[:, 1 : channels + 1], joined[:, channels + 1 :]
    count = counts.sum()
    mean = (counts * means).sum(0) / count.clamp(min=1)
    variance = (counts * (variances + (means - mean).square())).sum(0) / count.clamp(min=1)
    return count, mean, variance


class _Normalise(torch.autograd.Function):
    """Normalisation by statistics of all processes; the gradient through them is that of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, count: Tensor,
        eps: float,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps), count)
        return functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_deviation, count = ctx.saved_tensors
        (gradient,) = gradients
        shape = (1, -1, *(1 for _ in x.shape[2:]))
        places = [dimension for dimension in range(x.ndim) if dimension != 1]
        gradient = gradient.to(mean.dtype)
        standardised = (x.to(mean.dtype) - mean.view(shape)) * inverse_deviation.view(shape)
        sums = torch.stack((gradient.sum(places), (gradient * standardised).sum(places)))
        to_x = None
        if ctx.needs_input_grad[0]:
            total = sums.clone()
            dist.all_reduce(total)
            # fewer than two values were normalised by running statistics, which no gradient passes
            by_mean, by_deviation = (total / count.clamp(min=1) * (count >= 2)).unbind()
            scale = inverse_deviation if weight is None else inverse_deviation * weight
            inner = gradient - by_mean.view(shape) - standardised * by_deviation.view(shape)
            to_x = (inner * scale.view(shape)).to(x.dtype)
        to_bias, to_weight = (sums if weight is None else sums.to(weight.dtype)).unbind()
        return (
            to_x, to_weight if ctx.needs_input_grad[1] else None, to_bias if ctx.needs_input_grad[2] else None,
            None, None, None, None,
        )  # fmt: skip


def synchronise_batch_norms(module: nn.Module) -> None:
    """Have all batch normalisations within a module take their statistics from all processes."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, GlobalBatchNorm(child))
        else:
            synchronise_batch_norms(child)


class SynchroniseBatchNorms(Callback):
    """Where several processes train, their batch normalisations are one: on any device, without an option."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before the module is wrapped for its strategy."""
        if stage == "fit" and trainer.world_size > 1:
            synchronise_batch_norms(pl_module)
