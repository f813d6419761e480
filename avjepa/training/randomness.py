"""Random numbers that do not remember how a run got where it is."""

import numpy as np
import torch


def seed_batch(seed: int, batch_index: int, rank: int) -> None:
    """Seed torch (CPU and accelerators) for one batch of the training.

    Called before every batch, so that dropout and whatever else draws from the global generators give the same
    numbers in a run that was interrupted as in one that was not, and other numbers in every process.

    Args:
        seed: the run's seed.
        batch_index: batches before this one since the training began, resumed runs included.
        rank: number of the process.
    """
    state = np.random.SeedSequence((seed, batch_index, rank)).generate_state(2, np.uint32)
    torch.manual_seed(int(state[0]) << 32 | int(state[1]))
