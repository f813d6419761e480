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
        schedule: ``cosine``; ``constant`` with a linear cool-down; ``infinite``, which falls from the peak to a
            constant rate first, see ``training.optimiser.learning_rate_factor``. None is ``cosine``, or ``infinite``
            for an encoder that is pre-trained already.
        cooldown_fraction: share of all steps that the cool-down takes; None is 0, or .2 with ``infinite``.
        final_factor: share of the peak learning rate at the last step.
        decay_fraction: share of all steps in which the ``infinite`` schedule falls from the peak to its constant rate;
            0 for an encoder that is pre-trained already, which never sees the peak.
        constant_factor: that rate as a share of the peak.
        continued: the encoder is pre-trained already and is to learn more without forgetting what it knows; the
            predictor is new. ``--init`` of the command sets it.
        encoder_factor: share of the learning rate that the encoder has (SLCA, arXiv 2303.05118: a slow learner forgets
            less); None is 1, or .3 for one that is pre-trained already.
        encoder_warmup_fraction: share of all steps that the encoder's warm-up takes, in which the predictor catches up;
            None is ``warmup_fraction``, or .2 for an encoder that is pre-trained already.
        seed: of everything random in the run.
    """

    def __init__(
        self,
        objective: Objective,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        warmup_fraction: float = 0.05,
        schedule: Schedule | None = None,
        cooldown_fraction: float | None = None,
        final_factor: float = 0.0,
        decay_fraction: float = 0.3,
        constant_factor: float = 0.3,
        continued: bool = False,
        encoder_factor: float | None = None,
        encoder_warmup_fraction: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if schedule is None:
            schedule = "infinite" if continued else "cosine"
        if cooldown_fraction is None:
            cooldown_fraction = 0.2 if schedule == "infinite" else 0.0
        if encoder_factor is None:
            encoder_factor = 0.3 if continued else 1.0
        if encoder_warmup_fraction is None:
            encoder_warmup_fraction = max(warmup_fraction, 0.2) if continued else warmup_fraction
        require_rates(learning_rate, weight_decay)
        shares = {
            "warmup_fraction": warmup_fraction, "cooldown_fraction": cooldown_fraction, "final_factor": final_factor,
            "decay_fraction": decay_fraction, "constant_factor": constant_factor,
            "encoder_factor": encoder_factor, "encoder_warmup_fraction": encoder_warmup_fraction,
        }  # fmt: skip
        for name, share in shares.items():
            require_number(f"model.{name}", share, at_least=0, at_most=1)
        self.objective = objective
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.schedule: Schedule = schedule
        self.cooldown_fraction = cooldown_fraction
        self.final_factor = final_factor
        self.decay_fraction = decay_fraction if schedule == "infinite" and not continued else 0.0
        self.constant_factor = constant_factor
        self.encoder_factor, self.encoder_warmup_fraction = encoder_factor, encoder_warmup_fraction
        self.seed = seed
        self.embeddings: Embeddings | None = None
        """Of the last batch, for diagnostics."""

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW over every trainable parameter of the objective."""
        steps = planned_steps(self.trainer)
        return optimiser_with_schedule(
            self._groups(steps),
            max_steps=steps,
            warmup_steps=round(self.warmup_fraction * steps),
            schedule=self.schedule,
            cooldown_steps=round(self.cooldown_fraction * steps),
            final_factor=self.final_factor,
            decay_steps=round(self.decay_fraction * steps),
            constant_factor=self.constant_factor,
        )

    def _groups(self, steps: int) -> list[dict[str, Any]]:
        """Of the optimiser; the encoder has its own where it learns otherwise than the rest."""
        rate, decay = self.learning_rate, self.weight_decay
        if self.encoder_factor == 1.0 and self.encoder_warmup_fraction == self.warmup_fraction:
            return parameter_groups(self.objective, learning_rate=rate, weight_decay=decay)
        encoder = self.objective.encoder
        slow = parameter_groups(encoder, learning_rate=rate * self.encoder_factor, weight_decay=decay)
        own = {"warmup_steps": round(self.encoder_warmup_fraction * steps)}
        rest = parameter_groups(
            self.objective, learning_rate=rate, weight_decay=decay, without=set(encoder.parameters())
        )
        return [*({**group, **own} for group in slow), *rest]

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
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[-1]["lr"], batch_size=len(batch))
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
