"""Pre-training as Lightning sees it: a thin shell around an objective."""

from typing import Any

from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from avjepa.data.sample import PretrainBatch
from avjepa.distributed import means_over_processes
from avjepa.pretrain.export import KEY, encoder_architectures
from avjepa.pretrain.objectives.objective import Embeddings, Objective
from avjepa.ranges import require_number
from avjepa.training.checkpoint_contents import require_same_model
from avjepa.training.finite import require_finite_loss
from avjepa.training.optimiser import (
    Schedule,
    optimiser_with_schedule,
    parameter_groups,
    planned_steps,
    require_rates,
)
from avjepa.training.randomness import seed_batch


class PretrainModule(LightningModule):
    """Trains an objective for ``trainer.max_steps`` optimiser steps.

    Everything that happens is a function of the seed, the step and the batch, so a run that was killed and resumed
    ends with the weights of one that was not. Logs ``train/loss``, every term as ``train/TERM``, and
    ``learning_rate``; losses are means over all processes.

    Args:
        objective: JEPA, or one of the objectives it is compared with.
        learning_rate: peak learning rate of AdamW.
        weight_decay: of AdamW; biases and one-dimensional parameters are exempt.
        warmup_fraction: share of all steps that the linear warm-up takes.
        schedule: ``cosine``, or ``constant`` with a linear cool-down.
        cooldown_fraction: share of all steps that the cool-down takes.
        final_factor: share of the peak learning rate at the last step.
        seed: of everything random in the run.
    """

    def __init__(
        self,
        objective: Objective,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        warmup_fraction: float = 0.05,
        schedule: Schedule = "cosine",
        cooldown_fraction: float = 0.0,
        final_factor: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_rates(learning_rate, weight_decay)
        require_number("model.warmup_fraction", warmup_fraction, at_least=0, at_most=1)
        require_number("model.cooldown_fraction", cooldown_fraction, at_least=0, at_most=1)
        require_number("model.final_factor", final_factor, at_least=0, at_most=1)
        self.objective = objective
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.schedule: Schedule = schedule
        self.cooldown_fraction = cooldown_fraction
        self.final_factor = final_factor
        self.seed = seed
        self.embeddings: Embeddings | None = None
        """Of the last batch, for diagnostics."""

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW over every trainable parameter of the objective."""
        steps = planned_steps(self.trainer)
        groups = parameter_groups(self.objective, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        return optimiser_with_schedule(
            groups,
            max_steps=steps,
            warmup_steps=round(self.warmup_fraction * steps),
            schedule=self.schedule,
            cooldown_steps=round(self.cooldown_fraction * steps),
            final_factor=self.final_factor,
        )

    def on_train_batch_start(self, batch: PretrainBatch, batch_idx: int) -> None:
        """Make the batch's random numbers independent of what came before."""
        seed_batch(self.seed, self.trainer.fit_loop.total_batch_idx, self.global_rank)

    def training_step(self, batch: PretrainBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one batch."""
        output = self.objective(batch)
        require_finite_loss(output.loss, output.terms, self.trainer.global_step, batch.context.tokens)
        self.embeddings = output.embeddings
        figures = means_over_processes({"loss": output.loss, **output.terms})
        self.log("train/loss", figures.pop("loss"), prog_bar=True, batch_size=len(batch))
        self.log_dict({f"train/{name}": value for name, value in figures.items()}, batch_size=len(batch))
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=len(batch))
        loss: Tensor = output.loss
        return loss

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Step, then let the objective follow (EMA): once per optimiser step and before any checkpoint is written."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        # Lightning counts this step only after this method returns
        self.objective.after_step(self.trainer.global_step + 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note how to rebuild the encoders, so that a bundle can be made of the checkpoint alone."""
        checkpoint[KEY] = encoder_architectures(self.objective)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model in one line."""
        require_same_model(self, checkpoint)
