"""Doing something every so many optimiser steps, and logging it at the right step."""

from collections.abc import Mapping

from lightning import Trainer


class StepCadence:
    """True once for every multiple of ``every_n_steps``, however many batches an optimiser step takes.

    Args:
        every_n_steps: at least 1.
        first: also true for the first step of the training, so that there is a value to compare with.
    """

    def __init__(self, every_n_steps: int, first: bool = False) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps, self.first = every_n_steps, first
        self._seen = 0

    def start(self, steps_done: int) -> None:
        """The training starts or resumes behind so many steps; what was due then was done then."""
        self._seen = steps_done

    def __call__(self, steps_done: int) -> bool:
        """Whether it is time, given the optimiser steps done so far."""
        stepped = steps_done != self._seen
        self._seen = steps_done
        return stepped and (steps_done % self.every_n_steps == 0 or (self.first and steps_done == 1))


def log_measures(trainer: Trainer, measures: Mapping[str, float]) -> None:
    """Give measures of the step just taken to every logger, now.

    ``LightningModule.log`` keeps a value only if its step is one of ``log_every_n_steps``; what is measured on a
    cadence of its own would be lost.
    """
    if measures:
        for logger in trainer.loggers:
            logger.log_metrics(dict(measures), step=trainer.global_step - 1)
