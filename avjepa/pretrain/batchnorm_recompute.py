"""Statistics of batch normalisations for what a backbone will meet: whole inputs; pre-training showed it parts."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from avjepa.data.sample import Batch
from avjepa.encoders.base import SensorEncoder


@torch.no_grad()
def recompute_batchnorm(
    encoder: SensorEncoder, batches: Iterable[Batch], autocast: Callable[[], AbstractContextManager[object]]
) -> None:
    """Replace the running statistics of an encoder's batch normalisations by their means over some batches.

    With half of the cells hidden and more of the input dropped, a map is sparser than any that a detector sees. The
    statistics of training would make frozen features too large; what was learned stays as it is. (As after stochastic
    weight averaging, arXiv 1803.05407, section 3.2.) What is frozen stays in evaluation mode and keeps its statistics.

    Args:
        encoder: on the device that it shall run on; left in evaluation mode.
        batches: whole inputs, nothing hidden; none leave everything as it is.
        autocast: the context that the encoder runs in.
    """
    encoder.train()
    norms = [
        module
        for module in encoder.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module.training
    ]
    encoder.eval()
    momenta = [norm.momentum for norm in norms]
    batches = iter(batches)
    if not norms or (first := next(batches, None)) is None:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches
        norm.train()
    device = next(encoder.parameters()).device
    for batch in (first, *batches):
        with autocast():
            encoder(batch.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()
