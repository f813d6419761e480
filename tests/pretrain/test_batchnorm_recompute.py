from contextlib import nullcontext

import torch
from torch import nn

from avjepa.bundle.weights import state_hash
from avjepa.pretrain.batchnorm_recompute import recompute_batchnorm
from tests.pretrain.toys import ToyEncoder, batch_of, scene

CLOUDS = [scene(seed, things=4 + 3 * seed) for seed in range(6)]
BATCHES = [batch_of(CLOUDS[first : first + 2], [first, first + 1]) for first in (0, 2, 4)]


def trained_encoder() -> ToyEncoder:
    torch.manual_seed(0)
    encoder = ToyEncoder(norm=True).train()
    for _ in range(3):
        encoder(batch_of([scene(9, 1), scene(10, 1)], [9, 10]))  # sparse maps, as those of masked inputs
    return encoder


def test_statistics_become_those_of_the_batches() -> None:
    encoder = trained_encoder()
    (norm,) = (module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d))
    entered: list[torch.Tensor] = []
    handle = norm.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].detach()))
    recompute_batchnorm(encoder, BATCHES, nullcontext)
    handle.remove()
    assert norm.running_mean is not None and norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean((0, 2, 3)) for x in entered]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var((0, 2, 3)) for x in entered]).mean(0))
    assert not encoder.training and not norm.training and norm.momentum == 0.1


def test_nothing_else_changes_and_no_batch_changes_nothing() -> None:
    encoder = trained_encoder()
    before, parameters = state_hash(encoder), {name: p.clone() for name, p in encoder.named_parameters()}
    recompute_batchnorm(encoder, [], nullcontext)
    assert state_hash(encoder) == before
    recompute_batchnorm(encoder, BATCHES, nullcontext)
    assert state_hash(encoder) != before
    assert all(torch.equal(p, parameters[name]) for name, p in encoder.named_parameters())
    assert all(p.grad is None for p in encoder.parameters())


def test_what_is_frozen_keeps_its_statistics() -> None:
    encoder = trained_encoder()
    encoder.frozen = FrozenNorm(2)
    (learning,) = (module for module in encoder.modules() if type(module) is nn.BatchNorm2d)
    before, frozen = state_hash(learning), state_hash(encoder.frozen)
    recompute_batchnorm(encoder, BATCHES, nullcontext)
    assert state_hash(learning) != before and state_hash(encoder.frozen) == frozen
    assert encoder.frozen.momentum == 0.1


class FrozenNorm(nn.BatchNorm2d):
    """Stays in evaluation mode, whatever it is told."""

    def train(self, mode: bool = True) -> "FrozenNorm":
        del mode
        super().train(False)
        return self
