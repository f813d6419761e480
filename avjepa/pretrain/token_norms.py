"""Normalisations of rows (tokens) whose statistics are those of all processes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.distributed import moments, summed


class TokenNorm(nn.Module):
    """Batch normalisation of rows (tokens) over all processes, for any number of rows on each, on any device.

    ``torch.nn.SyncBatchNorm`` does the same on CUDA alone and refuses a process without rows.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))

    def forward(self, rows: Float[Tensor, "row channel"]) -> Float[Tensor, "row channel"]:
        """Normalised over the rows in training, by the running statistics in evaluation."""
        if self.training:
            mean, variance = moments(rows)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_variance.lerp_(variance, self.momentum)
        else:
            mean, variance = self.running_mean, self.running_variance
        return (rows - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias


class RunningStandardiser(nn.Module):
    """Brings every channel of rows (tokens) to mean 0 and variance 1 by statistics that run over the training.

    The statistics are those of the rows marked in ``counted``, over all processes. They are part of the state, so a
    resumed run goes on with them; they carry no gradient. The average is debiased as Adam's moments are, so the
    first batch is standardised by its own statistics and not by the initial zeros.

    Args:
        channels: channels of a row.
        momentum: weight of the past at every training batch.
    """

    first: Tensor
    second: Tensor
    weight: Tensor

    def __init__(self, channels: int, momentum: float = 0.99, eps: float = 1e-4) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.register_buffer("first", torch.zeros(channels))
        self.register_buffer("second", torch.zeros(channels))
        self.register_buffer("weight", torch.zeros(()))

    def forward(self, rows: Float[Tensor, "row channel"], counted: Bool[Tensor, "row"]) -> Float[Tensor, "row channel"]:
        """The standardised rows; in training the statistics take in the counted ones first."""
        if self.training:
            self._take_in(rows.detach()[counted])
        weight = self.weight.clamp(min=1e-12)
        mean = self.first / weight
        variance = (self.second / weight - mean.square()).clamp(min=0)
        return (rows - mean) * torch.rsqrt(variance + self.eps)

    @torch.no_grad()
    def _take_in(self, rows: Tensor) -> None:
        packed = summed(torch.cat((rows.sum(0), rows.square().sum(0), rows.new_full((1,), len(rows)))))
        channels = self.first.shape[0]
        count = packed[-1]
        # A batch in which nobody counted a row says nothing: it keeps the past as it is.
        share = (1 - self.momentum) * (count > 0).to(packed.dtype)
        self.first.lerp_(packed[:channels] / count.clamp(min=1), share)
        self.second.lerp_(packed[channels:-1] / count.clamp(min=1), share)
        self.weight.lerp_(torch.ones_like(self.weight), share)
