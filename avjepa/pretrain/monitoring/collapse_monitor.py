"""Live diagnostics of collapse."""

from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer

from avjepa.errors import UserError
from avjepa.pretrain.lightning_model import PretrainModule
from avjepa.pretrain.monitoring.alarm import CollapseAlarm, CollapseError
from avjepa.pretrain.monitoring.diagnostics import FeatureQueue, Measures, cells_of, collapse_measures
from avjepa.pretrain.monitoring.position_code import PositionCode
from avjepa.pretrain.monitoring.probe import OccupancyProbe
from avjepa.pretrain.objectives.objective import Embeddings
from avjepa.training.cadence import StepCadence, log_measures
from avjepa.training.console import status


class CollapseMonitor(Callback):
    """Measures collapse after the first step and every so many steps, logs it as ``collapse/NAME``, and warns of it.

    Logged are ``diagnostics.collapse_measures``; ``rank_centred`` and ``rank_uncentred`` of the context embeddings of
    occupied, visible cells; ``probe_precision``, the average precision of a linear probe that tells from the context
    map which hidden cells are occupied, beside ``probe_chance``, what guessing scores; and what ``PositionCode``
    measures. The first process measures,
    on its own samples. No random number is drawn and no gradient reaches the model.

    Args:
        every_n_steps: optimiser steps between two measurements.
        queue_size: features that the rank is measured on.
        queue_per_batch: features that one batch adds at most.
        minimum_std: see ``CollapseAlarm``.
        minimum_rank_share: see ``CollapseAlarm``.
        minimum_position_margin: see ``CollapseAlarm``.
        on_collapse: go on with a warning, or stop with an error.
    """

    def __init__(
        self,
        every_n_steps: int = 10,
        queue_size: int = 2048,
        queue_per_batch: int = 256,
        minimum_std: float = 0.1,
        minimum_rank_share: float = 0.1,
        minimum_position_margin: float = 0.1,
        on_collapse: Literal["warn", "stop"] = "warn",
    ) -> None:
        if every_n_steps < 1 or not 1 <= queue_per_batch <= queue_size:
            raise UserError("CollapseMonitor: every_n_steps and queue_per_batch ≥ 1, queue_per_batch ≤ queue_size")
        self.on_collapse, self.queue_per_batch = on_collapse, queue_per_batch
        self.alarm = CollapseAlarm(minimum_std, minimum_rank_share, minimum_position_margin)
        self.queue = FeatureQueue(queue_size)
        self.position = PositionCode()
        self.probe: OccupancyProbe | None = None
        self.latest: Measures = {}
        """The newest measures; those that could not be taken are ``None``."""
        self._turn = StepCadence(every_n_steps, first=True)
        self._warned = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from where the run starts."""
        self._turn.start(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when it is time.

        Raises:
            CollapseError: the embeddings collapsed and ``on_collapse`` is ``stop``.
        """
        if not (trainer.is_global_zero and self._turn(trainer.global_step)):
            return
        assert isinstance(pl_module, PretrainModule) and pl_module.embeddings is not None
        embeddings = pl_module.embeddings
        self.latest = self.measured(embeddings)
        log_measures(trainer, {f"collapse/{name}": x for name, x in self.latest.items() if x is not None})
        rank = self.latest["rank_centred"]
        if rank is not None:
            pl_module.log("rank", rank, prog_bar=True, logger=False, batch_size=len(batch))
        channels = {"context": embeddings.context.shape[1]}
        if embeddings.target is not None:
            channels["target"] = embeddings.target.shape[1]
        self._ring(self.alarm.reasons(self.latest, channels), trainer.global_step)

    def measured(self, embeddings: Embeddings) -> Measures:
        """All measures of one batch; queue and probe take it in."""
        measures = collapse_measures(embeddings) | self.position.measured(embeddings)
        seen = embeddings.occupied & ~embeddings.masked
        self.queue.push(cells_of(embeddings.context, seen, self.queue_per_batch))
        measures["rank_centred"] = self.queue.rank(centred=True)
        measures["rank_uncentred"] = self.queue.rank(centred=False)
        if self.probe is None:
            self.probe = OccupancyProbe(embeddings.context.shape[1])
        features = cells_of(embeddings.context, embeddings.masked)
        answers = cells_of(embeddings.occupied[:, None].float(), embeddings.masked)[:, 0] > 0
        measures["probe_precision"] = self.probe.learn(features, answers)
        measures["probe_chance"] = float(answers.float().mean()) if len(answers) else None
        return measures

    def _ring(self, reasons: list[str], step: int) -> None:
        if not reasons:
            self._warned = False
            return
        message = f"embeddings collapse at step {step}: {'; '.join(reasons)}"
        if self.on_collapse == "stop":
            raise CollapseError(
                f"{message}; raise the EMA momentum, add a variance or SIGReg term, lower the learning rate, or go on "
                "with on_collapse: warn"
            )
        if not self._warned:
            status(f"warning: {message}")
        self._warned = True

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to log what an uninterrupted one logs."""
        return {
            "queue": self.queue.features,
            "highest_rank": dict(self.alarm.highest_rank),
            "probe": None if self.probe is None else self.probe.sums,
            "position": self.position.state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See ``state_dict``."""
        self.queue.features = state_dict["queue"]
        self.alarm.highest_rank = dict(state_dict["highest_rank"])
        self.position.restore(state_dict.get("position", PositionCode().state()))
        if state_dict["probe"] is not None:
            self.probe = OccupancyProbe(len(state_dict["probe"]) - 2)
            self.probe.sums = state_dict["probe"]
