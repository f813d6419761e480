"""Random numbers depend on seed, batch and process, and on nothing else."""

import itertools

import torch

from avjepa.training.randomness import seed_batch


def drawn(seed: int, batch: int, rank: int) -> tuple[float, ...]:
    seed_batch(seed, batch, rank)
    return tuple(torch.rand(4).tolist())


def test_the_past_does_not_matter() -> None:
    first = drawn(1, 2, 3)
    torch.rand(100)
    assert drawn(1, 2, 3) == first


def test_every_seed_batch_and_process_draws_its_own_numbers() -> None:
    cases = list(itertools.product(range(4), range(50), range(4)))
    assert len({drawn(*case) for case in cases}) == len(cases)
