"""Training of a detector in Lightning."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer

from avjepa.bundle.files import load_bundled_weights
from avjepa.bundle.weights import state_hash
from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy, load_taxonomy
from avjepa.distributed import by_itself, means_over_processes
from avjepa.encoders.base import BEVBackbone, SensorEncoder
from avjepa.errors import UserError
from avjepa.finetune.earlier_heads import heads_of_run
from avjepa.finetune.freezing import Mode, frozen_parts, require_something_to_learn
from avjepa.finetune.stages import EVERYTHING, HEADS_FIRST, Stage, require_whole, stage_at
from avjepa.fusion import FusedBackbone
from avjepa.heads.task import Task, require_task_names
from avjepa.model.neck import NeckOptions
from avjepa.model.perception_model import PerceptionModel
from avjepa.ranges import require_number
from avjepa.training.checkpoint_contents import require_same_model
from avjepa.training.console import status
from avjepa.training.finite import require_finite_loss
from avjepa.training.optimiser import (
    LARGEST_RATE,
    optimiser_with_schedule,
    parameter_groups,
    planned_steps,
    require_rates,
)
from avjepa.training.randomness import seed_batch


class FinetuneModule(LightningModule):
    """Trains heads on a backbone that is new, pre-trained and fine-tuned with them, or pre-trained and frozen.

    AdamW with one cycle of the learning rate, as CenterPoint is trained: warm-up, then cosine decay to zero. Biases and
    normalisations do not decay. Logs ``train/loss``, every term as ``train/HEAD/TERM``, and ``learning_rate``;
    losses are means over all processes.

    Args:
        neck: dense layers between backbone and heads.
        tasks: by name, e.g. ``detection``: what the heads are for.
        taxonomy: the classes, ``None`` for those of nuScenes; the command takes them from the data.
        backbone: with new weights; the command takes it from the bundle where one is given.
        bundle: folder of a backbone bundle whose weights replace the backbone's when training starts; every tensor has
            to match. A resumed run takes its checkpoint's weights.
        bundles: folders of bundles whose weights replace those of a fused backbone's branches, by sensor.
        init_heads: folder of an earlier fine-tuning whose last neck and heads replace these when training starts; every
            tensor has to match. A resumed run takes its checkpoint's weights.
        mode: ``end_to_end`` trains the backbone too; ``frozen`` leaves every parameter and buffer of it as it is;
            ``frozen_encoders`` those of a fused backbone's branches, while what fuses them learns; for no other one.
        learning_rate: peak.
        backbone_learning_rate_factor: the backbone's learning rate relative to ``learning_rate``.
        layer_decay: further factor of the backbone's learning rate for every part (``layer_order``) that lies
            between a parameter and the heads, its own part included, so that what comes first changes least.
        head_first_steps: the backbone is held still for so many steps at the start.
        stages: a training in stages; none for one in which everything learns that ``mode`` lets learn.
        weight_decay: of AdamW.
        warmup_fraction: share of all steps that the warm-up takes.
        seed: of everything random within a step.
    """

    def __init__(
        self,
        neck: NeckOptions,
        tasks: dict[str, Task],  # type: ignore[type-arg]  # jsonargparse does not see into generic aliases
        taxonomy: Taxonomy | None = None,
        backbone: BEVBackbone | None = None,
        bundle: str | None = None,
        bundles: dict[str, str] | None = None,
        init_heads: str | None = None,
        mode: Mode = "end_to_end",
        learning_rate: float = 1e-3,
        backbone_learning_rate_factor: float = 1.0,
        layer_decay: float = 1.0,
        head_first_steps: int = 0,
        stages: tuple[Stage, ...] | None = None,  # a list's items would be merged with those that they replace
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_rates(learning_rate, weight_decay)
        require_task_names(tasks)
        most = LARGEST_RATE / learning_rate
        require_number("model.backbone_learning_rate_factor", backbone_learning_rate_factor, at_least=0, at_most=most)
        require_number("model.layer_decay", layer_decay, above=0, at_most=1)
        require_number("model.head_first_steps", head_first_steps, at_least=0)
        require_number("model.warmup_fraction", warmup_fraction, at_least=0, at_most=1)
        if backbone is None:
            raise UserError("model.backbone: there is none; configure one, or start from a bundle with --bundle DIR")
        built_neck = neck.build(backbone.out_channels, backbone.token_grid)
        channels, grid, classes = built_neck.out_channels, built_neck.grid, taxonomy or load_taxonomy("nuscenes")
        heads = {name: task.build_head(channels, grid, classes) for name, task in tasks.items()}
        self.model = PerceptionModel(
            backbone, built_neck, heads, {name: task.loss_weight for name, task in tasks.items()}
        )
        self.tasks = tasks
        if stages and head_first_steps:
            raise UserError("model.head_first_steps: give it as the first of model.stages, or leave stages out")
        if bundle is not None and bundles:
            raise UserError("--bundle is of the whole backbone and --bundles of its branches; give one of them")
        require_whole(stages or ())
        self.bundle, self.bundles, self.stages = bundle, bundles or {}, stages or ()
        self.init_heads = init_heads
        self.frozen = frozen_parts(mode, backbone, of_branches=bool(bundles))
        self.learning_rate, self.backbone_learning_rate_factor = learning_rate, backbone_learning_rate_factor
        self.layer_decay = layer_decay
        self.head_first_steps, self.weight_decay, self.warmup_fraction = head_first_steps, weight_decay, warmup_fraction
        self.seed = seed
        self.predicts_in_validation = False
        self._resumed = False
        self._frozen_before: list[str] = []
        for part in self.frozen:
            part.requires_grad_(False)
        require_something_to_learn(self.model, self.stages, mode)
        self.model.hold_still(self.frozen)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note that the weights come from a checkpoint; refuse that of another model in one line."""
        require_same_model(self, checkpoint)
        self._resumed = True

    def on_fit_start(self) -> None:
        """Load the pre-trained backbone and earlier heads, unless a checkpoint was restored just before."""
        if self._resumed:
            return
        if self.init_heads is not None:
            heads_of_run(self.init_heads, self.model).load_into(self.model)
        if self.bundle is not None:
            load_bundled_weights(self.model.backbone, self.bundle)
        for sensor, directory in self.bundles.items():
            load_bundled_weights(self.branch(sensor), directory)
        started = self.bundle is not None or self.bundles
        if not started and any(True for part in self.frozen for _ in part.parameters()):
            status("mode is frozen and no bundle is given: the heads learn on a backbone with random weights")

    def branch(self, sensor: str) -> SensorEncoder:
        """The branch of a fused backbone for a sensor.

        Raises:
            UserError: it has none.
        """
        backbone = self.model.backbone
        if not isinstance(backbone, FusedBackbone) or sensor not in backbone.branches:
            raise UserError(f"--bundles {sensor}=...: the backbone has no branch of that sensor; see model.backbone")
        branch = backbone.branches[sensor]
        assert isinstance(branch, SensorEncoder)
        return branch

    def on_train_start(self) -> None:
        """Remember what the frozen parts look like."""
        self._frozen_before = [state_hash(part) for part in self.frozen]

    def on_train_end(self) -> None:
        """Prove that what was frozen was."""
        if [state_hash(part) for part in self.frozen] != self._frozen_before:
            raise RuntimeError("the frozen backbone changed during training")

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make the batch's random numbers independent of what came before."""
        seed_batch(self.seed, self.trainer.fit_loop.total_batch_idx, self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one batch."""
        stage = self._stage()
        self.model.hold_still([*self.frozen, *stage.still(self.model)])
        loss = self.model.loss(stage.shown(batch))
        require_finite_loss(loss.total.detach(), loss.terms, self.global_step, batch.tokens)
        figures = means_over_processes({"loss": loss.total, **loss.terms})
        self.log("train/loss", figures.pop("loss"), prog_bar=True, batch_size=len(batch))
        self.log_dict({f"train/{name}": value for name, value in figures.items()}, batch_size=len(batch))
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[-1]["lr"], batch_size=len(batch))
        return loss.total

    def _stage(self) -> Stage:
        if self.stages:
            return stage_at(self.stages, self.global_step, planned_steps(self.trainer))
        return HEADS_FIRST if self.global_step < self.head_first_steps else EVERYTHING

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Keep the optimiser (its weight decay too) from what is held still."""
        for parameter in self.model.still_parameters():
            parameter.grad = None

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Log the loss on held-out samples: the mean over batches, weighted by their samples, of all processes.

        Returns:
            Predictions as of ``predict_step``, from the same pass through the network, if ``predicts_in_validation``.
        """
        predictions = None
        with by_itself():
            if self.predicts_in_validation:
                with self.full_precision():
                    loss, predictions = self.model.loss_and_predictions(batch)
            else:
                loss = self.model.loss(batch)
        self.log("val/loss", loss.total, batch_size=len(batch), sync_dist=True)
        self.log_dict(
            {f"val/{name}": value for name, value in loss.terms.items()}, batch_size=len(batch), sync_dist=True
        )
        return predictions if self._has_input(batch) else None

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any] | None:
        """Predictions of every head by name, in the precision of the weights: a score is no place to save time.

        ``None`` for a batch in which no sample has data of any sensor.
        """
        if not self._has_input(batch):
            return None
        with self.full_precision():
            return self.model.predict(batch)

    def _has_input(self, batch: Batch) -> bool:
        """Whether the backbone has data of a sensor, or had them when its maps were computed."""
        if self.model.maps is not None:
            return len(self.model.maps.without_data(batch)) < len(batch)
        return bool(batch.sensors)

    @contextlib.contextmanager
    def full_precision(self) -> Iterator[None]:
        """Within the block nothing is computed in less than the precision of the weights."""
        cudnn = torch.backends.cudnn
        kept = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
        with torch.autocast(self.device.type, enabled=False), cudnn.flags(**kept, allow_tf32=False):
            yield

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; what was pre-trained has its own peak learning rates."""
        decay, rate = self.weight_decay, self.learning_rate
        factor = self.backbone_learning_rate_factor
        backbone = self.model.backbone
        pretrained = backbone.pretrained_parts() if self.bundles else [backbone]
        groups = [
            group
            for part in pretrained
            for group in parameter_groups(
                part,
                learning_rate=rate * factor,
                weight_decay=decay,
                by_depth=part.layer_order(),
                layer_decay=self.layer_decay,
            )
        ]
        theirs = {parameter for part in pretrained for parameter in part.parameters()}
        groups += parameter_groups(backbone, learning_rate=rate, weight_decay=decay, without=theirs)
        for module in (self.model.neck, self.model.heads):
            groups += parameter_groups(module, learning_rate=rate, weight_decay=decay)
        steps = planned_steps(self.trainer)
        return optimiser_with_schedule(groups, max_steps=steps, warmup_steps=round(self.warmup_fraction * steps))
